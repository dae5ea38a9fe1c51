"""Words of the second factor and of one's own sessions."""

from typing import Final

ACCOUNT: Final = {
    "second.title": ("Mã xác nhận", "Confirmation code"),
    "second.set_up": ("Cài mã xác nhận", "Set up confirmation codes"),
    "second.why": (
        "Tài khoản này được phát khẩn cấp hoặc quản trị, nên mỗi lần đăng nhập cần thêm mã 6 số trên điện thoại.",
        "This account may start emergencies or run the station, so each sign-in also takes a 6-digit code.",
    ),
    "second.step_app": (
        "Mở ứng dụng mã xác nhận trên điện thoại (loại «TOTP», ví dụ FreeOTP, Aegis, Google Authenticator). Không cần mạng.",
        "Open an authenticator app on your phone (any TOTP app: FreeOTP, Aegis, Google Authenticator). It needs no network.",
    ),
    "second.step_scan": ("Quét hình này:", "Scan this picture:"),
    "second.step_type": ("Không quét được thì gõ khóa này:", "Or type this key:"),
    "second.step_code": ("Gõ mã 6 số mà ứng dụng đang hiện.", "Type the 6 digits that the app shows now."),
    "second.once": (
        "Hình và khóa chỉ hiện lần này. Đừng chụp lại, đừng gửi cho ai.",
        "Picture and key are shown this once. Do not photograph or send them.",
    ),
    "second.code": ("Mã 6 số trên điện thoại", "6-digit code of your phone"),
    "second.go": ("Xác nhận", "Confirm"),
    "second.keep": ("Xong", "Done"),
    "second.lost": (
        "Mất điện thoại: gọi người quản trị để cài lại. Mỗi mã dùng một lần; sai mãi thì kiểm tra giờ điện thoại.",
        "Phone lost: the operator lets you set up a new one. A code counts once; if it keeps failing, check the phone's clock.",
    ),
    "second.wrong": (
        "Mã không đúng hoặc đã dùng rồi. Đợi mã mới trên điện thoại rồi gõ lại.",
        "The code is wrong or was used. Wait for the next one on your phone, then type it.",
    ),
    "sessions.title": ("Nơi đang đăng nhập", "Where you are signed in"),
    "sessions.help": (
        "Thấy máy lạ: kết thúc nó, rồi đổi mật khẩu và báo người quản trị.",
        "A device you do not know: end it, then change your password and tell the operator.",
    ),
    "sessions.from": ("Địa chỉ {source}", "Address {source}"),
    "sessions.since": ("Đăng nhập lúc {at}", "Signed in at {at}"),
    "sessions.seen": ("Dùng lần cuối {at}", "Last used {at}"),
    "sessions.until": ("Hết hạn lúc {at}", "Ends at {at}"),
    "sessions.this": ("Máy này", "This device"),
    "sessions.half": ("Chưa gõ mã xác nhận", "Code not given yet"),
    "sessions.end": ("Kết thúc", "End"),
    "sessions.end_all": ("Kết thúc mọi nơi khác", "End all others"),
}
