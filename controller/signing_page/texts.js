// Every word of the page: key -> [Vietnamese, English].

export const TEXTS = {
  title: ["Trang ký", "Signing page"],
  other: ["English", "Tiếng Việt"],
  "key.none": ["Máy này chưa có khóa ký", "This device has no signing key"],
  "key.none_help": [
    "Khóa được tạo trong trình duyệt này và không ra khỏi đây. Chỉ tạo trên máy riêng của bạn, có khóa màn hình.",
    "The key is made in this browser and never leaves it. Make it only on your own device, with a screen lock.",
  ],
  "key.person": ["Mã người (chữ thường, không dấu, ví dụ nguyen-thi-lan)", "Person id (small letters, as nguyen-thi-lan)"],
  "key.name": ["Họ tên và chức vụ", "Name and office"],
  "key.make": ["Tạo khóa ký", "Make my signing key"],
  "key.person_wrong": ["Mã người chỉ gồm chữ thường, số, dấu chấm, gạch.", "The person id has small letters, digits, dots, dashes."],
  "key.mine": ["Khóa ký của máy này", "This device's signing key"],
  "key.fingerprint": ["Dấu vân tay (đọc qua điện thoại để so)", "Fingerprint (compare by telephone)"],
  "key.public": ["Tệp .pub đưa vào phân quyền", "The .pub file for the grant"],
  "key.copy": ["Sao chép", "Copy"],
  "key.copied": ["Đã sao chép", "Copied"],
  "key.save": ["Lưu tệp .pub", "Save the .pub file"],
  "key.replace": ["Thay hoặc xóa khóa", "Replace or delete the key"],
  "key.replace_help": [
    "Xóa rồi thì không ký được bằng khóa này nữa; báo người quản trị cho khóa cũ nghỉ (retired). Gõ «xoa» để xóa.",
    "Once deleted, this key can never sign again; have it retired in the grant. Type «xoa» to delete.",
  ],
  "key.delete": ["Xóa khóa này", "Delete this key"],
  "key.unable": [
    "Trình duyệt này không ký được (thiếu Ed25519). Hãy cập nhật trình duyệt, hoặc ký bằng lệnh loa.",
    "This browser cannot sign (no Ed25519). Update it, or sign with `loa`.",
  ],
  loading: ["Đang lấy nội dung để ký…", "Getting what is to be signed…"],
  "order.START": ["KHẨN CẤP THẬT", "REAL EMERGENCY"],
  "order.STOP": ["DỪNG PHÁT", "STOP"],
  "order.LIFT": ["CHO PHÁT LẠI", "ALLOW SOUND AGAIN"],
  "exercise.START": ["DIỄN TẬP", "EXERCISE"],
  "exercise.STOP": ["DỪNG DIỄN TẬP", "STOP THE EXERCISE"],
  read: ["Nội dung dưới đây được đọc từ chính các byte sắp ký.", "What follows is read from the very bytes to be signed."],
  where: ["Nơi phát", "Where"],
  "name.server": ["tên do máy chủ nói, máy này chưa gặp", "name as the server says, new to this device"],
  "name.known": ["tên máy này đã nhớ từ lần ký trước", "name remembered from an earlier signature"],
  "name.differs": ["KHÁC tên máy này đã nhớ", "DIFFERS from the name remembered here"],
  risk: ["Cấp độ rủi ro", "Risk level"],
  says: ["Loa sẽ nói", "What will be said"],
  repeats: ["Số lần đọc", "Times said"],
  until: ["Nhận tới lúc", "Accepted until"],
  longest: ["Phát tối đa (giây)", "Sounds at most (s)"],
  issued: ["Lập lúc", "Issued at"],
  body: ["Cơ quan ban hành (loa đọc)", "Issuing body (spoken)"],
  doc: ["Văn bản", "Paper"],
  reason: ["Lý do", "Reason"],
  incident: ["Lần phát", "Incident"],
  "incident.all": ["tất cả ở nơi này", "everything there"],
  authority: ["Ký theo phân quyền của", "Signed under the grant of"],
  answers: ["Cụm loa chưa có giờ được trả lời", "Nodes without a clock that are answered"],
  digest: ["Mã văn bản", "Digest"],
  clip: ["Bản ghi", "Recording"],
  "clip.loading": ["đang tải và kiểm tra…", "fetching and checking…"],
  "clip.good": ["đúng bản ghi trong lệnh; hãy nghe ít nhất 5 giây", "the recording that the order names; listen for at least 5 s"],
  "clip.heard": ["đã kiểm tra và đã nghe", "checked and heard"],
  "clip.wrong": ["KHÔNG phải bản ghi trong lệnh. Không ký được.", "NOT the recording that the order names. It cannot be signed."],
  "clip.mute": ["Máy này không phát được bản ghi. Không ký được.", "This device cannot play the recording. It cannot be signed."],
  "second.by": ["Đã có chữ ký thứ nhất, theo máy chủ là của {by}.", "It has a first signature, by {by} as the server says."],
  "second.needed": ["Việc này cần thêm chữ ký của một người khác, trên máy của họ.", "This needs another person's signature too, on their own device."],
  hold: ["Giữ 2 giây để KÝ", "Hold 2 seconds to SIGN"],
  holding: ["Giữ tiếp… thả tay là không ký", "Keep holding… let go to cancel"],
  sign: ["KÝ NGAY", "SIGN NOW"],
  signing: ["Đang ký và gửi…", "Signing and sending…"],
  "sign.type": ["Không giữ được nút? Gõ mã nơi phát", "Cannot hold? Type the area's id"],
  "sign.type_help": ["Gõ «{area}» rồi bấm nút.", "Type «{area}», then press."],
  "sign.listen": ["Nghe bản ghi trước, rồi mới ký được", "Listen to the recording first"],
  cancel: ["Thôi, không ký", "Do not sign"],
  "wrong.clock": [
    "Giờ máy này lệch giờ máy chủ {seconds} giây. Không ký: hãy chỉnh giờ tự động rồi tải lại trang.",
    "This device's clock is {seconds} s off the server's. Nothing is signed: set it automatically, then reload.",
  ],
  "wrong.old": ["Nội dung đã cũ, đang lấy lại. Hãy ký lại sau một giây.", "This has become old and is being renewed. Sign again in a second."],
  "wrong.changed": ["Nội dung ở máy chủ đã đổi. Hãy đọc lại từ đầu trước khi ký.", "The content has changed at the server. Read it again before signing."],
  "wrong.bytes": ["Máy chủ đưa nội dung sai quy cách: {why}. Không ký.", "The server gave content that breaks the rules: {why}. Nothing is signed."],
  "wrong.mixed": ["các lệnh khác loại trong một lần ký", "orders of different kinds in one signature"],
  "wrong.over": ["đã quá hạn nhận", "its time of acceptance is over"],
  "wrong.server": ["Không lấy được nội dung từ máy chủ. Kiểm tra mạng rồi tải lại trang.", "The server gave no content. Check the network and reload."],
  "wrong.no-wanted": ["Nội dung này không còn chờ ký (đã gửi, bỏ, hoặc hết hạn).", "This waits no longer for a signature (sent, dropped or expired)."],
  "wrong.key-not-empowered": [
    "Khóa của máy này chưa được phân quyền cho việc này ở nơi này. Đưa tệp .pub cho người lập phân quyền.",
    "No grant lets this device's key do this here. Give the .pub file to whoever makes the grants.",
  ],
  "wrong.same-key": ["Khóa này đã ký rồi: cần chữ ký của người khác.", "This key has signed already: another person must sign."],
  "lang.vi": ["tiếng Việt", "Vietnamese"],
  "lang.jra": ["tiếng Jrai", "Jrai"],
  "lang.bdq": ["tiếng Ba Na", "Bahnar"],
  "lang.rad": ["tiếng Ê Đê", "Ede"],
};

let tongue = 0;

/** Chooses the language: "vi" or "en". */
export function speak(lang) {
  tongue = lang === "en" ? 1 : 0;
  document.documentElement.lang = tongue ? "en" : "vi";
}

export const speaking = () => (tongue ? "en" : "vi");

/** The words of a key; `{holes}` are filled. */
export function say(key, holes = {}) {
  const words = Object.hasOwn(TEXTS, key) ? TEXTS[key][tongue] : key;
  return words.replace(/\{(\w+)\}/g, (_, name) => String(holes[name]));
}
