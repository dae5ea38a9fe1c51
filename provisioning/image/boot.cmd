# Two copies of the firmware, A and B; each start of a copy is counted down, and only a healthy agent counts it up again.
# State: one sector of the card (see fw_env.config), CRC-32 in front. A torn or foreign sector means: A, three tries.
setenv sector 0x40
setenv size 0x200
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
${devtype} dev ${devnum}
if ${devtype} read ${kernel_addr_r} ${sector} 1; then env import -c ${kernel_addr_r} ${size} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; fi
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
setenv slot
for s in ${BOOT_ORDER}; do
  if test "x${slot}" != "x"; then
    true
  elif test "x${s}" = "xA"; then
    if test 0x${BOOT_A_LEFT} -gt 0; then setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; setenv slot A; setenv part 2; fi
  elif test "x${s}" = "xB"; then
    if test 0x${BOOT_B_LEFT} -gt 0; then setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; setenv slot B; setenv part 3; fi
  fi
done
if test -z "${slot}"; then
  echo "loa: every try of both copies is used up: counted anew"
  setenv BOOT_ORDER "A B"
  setenv BOOT_A_LEFT 2
  setenv BOOT_B_LEFT 3
  setenv slot A
  setenv part 2
fi
env export -c -s ${size} ${kernel_addr_r} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
${devtype} write ${kernel_addr_r} ${sector} 1
echo "loa: copy ${slot}, tries left A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}"
# i6300esb: QEMU's watchdog; its 30 s are not enough for a start beside another machine. A Pi's is not touched by this.
setenv bootargs "root=PARTUUID=4c6f6131-0${part} rauc.slot=${slot} ro rootwait panic=5 console=tty1 console=ttyS1,115200 console=ttyAMA0,115200 net.ifnames=0 i6300esb.heartbeat=60 quiet"
setenv tree ${fdtcontroladdr}
test -n "${fdt_addr}" && setenv tree ${fdt_addr}
# A Pi's ramdisk_addr_r lies 38.5 MiB above the kernel's place, where Debian's kernel reaches to once it is moved: 64 MiB are free.
setexpr initrd ${kernel_addr_r} + 0x4000000
load ${devtype} ${devnum}:${part} ${kernel_addr_r} /vmlinuz
load ${devtype} ${devnum}:${part} ${initrd} /initrd.img
booti ${kernel_addr_r} ${initrd}:${filesize} ${tree}
# What cannot even be loaded has used its try: the next one.
reset
