"""Building as an ordinary user: the same command once more, as root of a user namespace of its own."""

import os
import subprocess
import sys
from typing import Final

from provisioning.errors import InputRefused

APART: Final = ("unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--")


def as_root_of_our_own() -> None:
    """Nothing for root; for anybody else this process becomes the same command over there. Raises InputRefused if it cannot.

    The files of the image then belong to the user's own range of ids (/etc/subuid), and are root's inside; what comes out is the
    same, to the bit.
    """
    if os.geteuid() == 0:
        return
    try:
        done = subprocess.run([*APART, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InputRefused("thiếu công cụ / missing here: apt install util-linux uidmap") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-200:]
        raise InputRefused(
            f"máy này chỉ cho root dựng / only root may build on this computer ({said}):"
            " use sudo, or apt install uidmap and have a range of ids in /etc/subuid and /etc/subgid"
        )
    os.execvp(APART[0], [*APART, sys.executable, *sys.orig_argv[1:]])  # noqa: S606  our own words
