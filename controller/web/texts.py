"""Every word that the page shows of itself, in Vietnamese and English: key -> (vi, en). Placeholders are the same in both."""

from typing import Final, Literal

from controller.web.texts_account import ACCOUNT
from controller.web.texts_emergency import EMERGENCY, INCIDENT, REVIEW
from controller.web.texts_plan import PLAN
from controller.web.texts_timetable import TIMETABLE

Tongue = Literal["vi", "en"]
TONGUES: Final[tuple[Tongue, ...]] = ("vi", "en")

_FRAME: Final = {
    "app.name": ("Loa truyền thanh", "Public address"),
    "app.skip": ("Tới nội dung", "Skip to content"),
    "nav.home": ("Cụm loa", "Clusters"),
    "nav.incidents": ("Các lần phát", "Incidents"),
    "nav.plays": ("Nhật ký phát", "Plays"),
    "nav.programmes": ("Chương trình", "Programmes"),
    "nav.refusals": ("Lệnh bị từ chối", "Refused orders"),
    "nav.stop_area": ("Dừng cả khu vực", "Stop a whole area"),
    "nav.password": ("Đổi mật khẩu", "Change password"),
    "nav.sessions": ("Nơi đang đăng nhập", "Where I am signed in"),
    "nav.logout": ("Đăng xuất", "Log out"),
    "nav.more": ("Thêm", "More"),
    "nav.other_tongue": ("English", "Tiếng Việt"),
    "clock.yours": ("Giờ máy của bạn", "Your time"),
    "clock.server": ("Giờ máy chủ", "Server time"),
    "clock.apart": (
        "Giờ máy của bạn lệch giờ máy chủ {seconds} giây. Giờ ghi trên trang là giờ máy chủ.",
        "Your clock differs from the server's by {seconds} s. Times on this page are the server's.",
    ),
    "stale.lost": (
        "Mất kết nối với máy chủ từ {at}. Những gì đang hiện có thể đã cũ. Đang nối lại…",
        "No connection to the server since {at}. What you see may be old. Reconnecting…",
    ),
    "stale.login": ("Phiên làm việc đã hết. Hãy đăng nhập lại.", "Your session has ended. Log in again."),
    "back": ("Quay lại", "Back"),
    "cancel": ("Không, quay lại", "No, go back"),
    "search": ("Tìm", "Search"),
    "show_all": ("Xem tất cả", "Show all"),
    "ago.seconds": ("{n} giây trước", "{n} s ago"),
    "ago.minutes": ("{n} phút trước", "{n} min ago"),
    "ago.hours": ("{n} giờ trước", "{n} h ago"),
    "never": ("chưa bao giờ", "never"),
    "unknown": ("chưa rõ", "not known"),
}

_LOGIN: Final = {
    "login.title": ("Đăng nhập", "Log in"),
    "login.name": ("Tên đăng nhập", "User name"),
    "login.password": ("Mật khẩu", "Password"),
    "login.go": ("Đăng nhập", "Log in"),
    "login.wrong": (
        "Tên đăng nhập hoặc mật khẩu không đúng. Kiểm tra lại rồi thử lần nữa.",
        "User name or password is wrong. Check both and try again.",
    ),
    "login.wait": (
        "Đã thử sai nhiều lần. Hãy đợi {seconds} giây rồi thử lại.",
        "Too many wrong attempts. Wait {seconds} s, then try again.",
    ),
    "login.first": (
        "Mật khẩu lần đầu do người quản trị đưa cho bạn.",
        "The first password is given to you by the operator.",
    ),
    "password.title": ("Đổi mật khẩu", "Change password"),
    "password.must": (
        "Đây là mật khẩu được cấp lần đầu. Hãy đặt mật khẩu của riêng bạn trước khi dùng trang này.",
        "This is the first password you were given. Choose your own before you use this page.",
    ),
    "password.old": ("Mật khẩu hiện nay", "Present password"),
    "password.new": ("Mật khẩu mới (ít nhất 10 ký tự)", "New password (at least 10 characters)"),
    "password.again": ("Nhập lại mật khẩu mới", "New password again"),
    "password.go": ("Đổi mật khẩu", "Change password"),
    "password.differ": ("Hai lần nhập mật khẩu mới không giống nhau.", "The two new passwords differ."),
    "password.short": ("Mật khẩu mới phải có ít nhất 10 ký tự.", "The new password needs at least 10 characters."),
    "password.same": ("Mật khẩu mới phải khác mật khẩu hiện nay.", "The new password must differ from the present one."),
}

_HOME: Final = {
    "home.title": ("Các cụm loa", "Loudspeaker clusters"),
    "home.none": (
        "Chưa có cụm loa nào. Người quản trị báo trước cụm loa mới bằng lệnh «loa node expect».",
        "No clusters yet. The operator announces new ones with «loa node expect».",
    ),
    "home.waiting": ("Cụm loa chờ duyệt", "Clusters waiting for approval"),
    "home.waiting_what": (
        "Đã có chứng chỉ, chưa nghe ai: so sáu số với máy ngoài cột rồi ký vị trí bằng «loa node approve».",
        "They have a certificate and obey nobody: compare the six digits with the machine, then sign with «loa node approve».",
    ),
    "home.waiting_digits": ("Sáu số: {digits} · đến lúc {at}", "Six digits: {digits} · came {at}"),
    "home.claim_twice": (
        "Mã nhận máy bị dùng lần nữa ({n} lần, lần cuối từ {source}): có người khác cầm mã này.",
        "Its claim was used again ({n} times, last from {source}): somebody else holds it.",
    ),
    "home.none_found": ("Không có cụm loa nào khớp với «{q}».", "No cluster matches «{q}»."),
    "home.filter": ("Lọc theo tên cụm loa, thôn, buôn, xã", "Filter by cluster, settlement or commune"),
    "home.total": ("{n} cụm loa", "{n} clusters"),
    "home.sounding": ("{n} đang phát", "{n} sounding"),
    "home.cut": (
        "Chỉ hiện {shown} cụm loa xấu nhất trong {n}. Hãy lọc để thấy cụm khác.",
        "Only the worst {shown} of {n} clusters are shown. Filter to see others.",
    ),
    "severity.3": ("Không liên lạc được", "Out of reach"),
    "severity.2": ("Có lỗi", "Fault"),
    "severity.1": ("Cần chú ý", "Attention"),
    "severity.0": ("Bình thường", "Normal"),
    "node.device_time": ("Giờ thiết bị khi đó", "Device time then"),
    "node.heard": ("Tin cuối", "Last heard"),
    "node.clock.good": ("đồng hồ đúng", "clock good"),
    "node.clock.holdover": ("đồng hồ tự chạy, chưa đối chiếu lại", "clock running on its own"),
    "node.clock.attested": ("giờ được xác nhận, chỉ dùng cho lệnh khẩn cấp", "attested time, for emergency orders only"),
    "node.clock.unknown": (
        "chưa biết giờ đúng: chương trình hẹn giờ không phát",
        "time not known: nothing scheduled plays",
    ),
    "node.clock_error": ("sai không quá {seconds} giây", "off by at most {seconds} s"),
    "node.offset": ("lệch {seconds} giây", "off by {seconds} s"),
    "node.offset_days": ("lệch {n} ngày", "off by {n} days"),
    "node.sounding": ("Đang phát", "Sounding"),
    "node.refused": ("Đã từ chối {n} lệnh", "Refused {n} orders"),
}


_LISTS: Final = {
    "plays.title": ("Nhật ký phát", "What was played"),
    "plays.none": ("Không có lượt phát nào trong ngày {day}.", "Nothing was played on {day}."),
    "plays.planned": ("hẹn {at}", "planned {at}"),
    "plays.level": ("mức âm {dbfs} dBFS", "level {dbfs} dBFS"),
    "plays.silent": ("có {seconds} giây không ra tiếng", "{seconds} s without sound"),
    "plays.prev": ("Ngày trước", "Day before"),
    "plays.next": ("Ngày sau", "Day after"),
    "ending.played": ("Phát đủ", "Played whole"),
    "ending.cut": ("Đứt quãng (mất điện hoặc khởi động lại)", "Cut (power or restart)"),
    "ending.interrupted": ("Nhường cho nội dung ưu tiên hơn", "Gave way to something more important"),
    "ending.stopped": ("Bị dừng", "Stopped"),
    "ending.failed": ("Hỏng", "Failed"),
    "ending.skipped": ("Bỏ qua", "Skipped"),
    "ending.max": ("Hết thời lượng cho phép", "Longest allowed time reached"),
    "purpose.routine": ("Bản tin thường", "Ordinary bulletin"),
    "purpose.live": ("Khẩn cấp", "Emergency"),
    "purpose.exercise": ("Diễn tập", "Exercise"),
    "refusals.title": ("Lệnh bị từ chối", "Refused orders"),
    "refusals.help": (
        "Lệnh hay tài liệu không được nghe theo. Nếu bạn không gửi, có thể ai đó đang thử phá: hãy báo người quản trị.",
        "Orders and documents that were not obeyed. Not yours? Someone may be trying to break in: tell the operator.",
    ),
    "refusals.controller": ("Máy chủ", "Controller"),
    "refusals.none": ("Chưa có lệnh nào bị từ chối.", "Nothing was refused so far."),
    "refusals.count": ("{n} lần", "{n} times"),
    "refusals.span": ("từ {first} đến {last}", "from {first} to {last}"),
    "programmes.title": ("Chương trình đang có hiệu lực", "Programmes in force"),
    "programmes.none": ("Chưa có chương trình nào đang có hiệu lực.", "No programme is in force."),
    "programmes.until": ("Có hiệu lực từ {first} đến {last}", "In force from {first} to {last}"),
    "programmes.signed": ("Người duyệt: {names}", "Approved by: {names}"),
    "programmes.empty": ("Không có bản tin nào (đã rút).", "No bulletins (withdrawn)."),
    "programmes.not_today": ("hôm nay không phát", "not today"),
    "programmes.readonly": (
        "Chỉ xem. Chương trình được duyệt và ký bằng lệnh «loa programme».",
        "Read only. Programmes are approved and signed with «loa programme».",
    ),
    "class.normal": ("thông thường", "normal"),
    "class.priority": ("ưu tiên", "priority"),
    "class.emergency": ("khẩn cấp", "emergency"),
    "reason.malformed": ("bị hỏng hoặc sai dạng", "malformed"),
    "reason.wrong-type": ("sai loại", "wrong type"),
    "reason.bad-signature": ("chữ ký không hợp lệ", "bad signature"),
    "reason.not-mine": ("không phải cho cụm loa này", "not for this cluster"),
    "reason.not-empowered": ("người ký không có quyền", "signer not empowered"),
    "reason.suspended": ("khóa của người ký đang bị tạm ngưng", "a signer's key is suspended"),
    "reason.too-few-persons": ("chưa đủ số người ký", "too few signers"),
    "reason.from-future": ("ghi thời điểm ở tương lai", "dated in the future"),
    "reason.superseded": ("lệnh cũ, đã có lệnh mới hơn", "old, a newer one is held"),
    "reason.equivocation": ("hai nội dung khác nhau dưới cùng một số lệnh: BÁO ĐỘNG", "two contents under one identity: ALARM"),
    "reason.stopped": ("đã có lệnh dừng", "covered by a STOP"),
    "reason.expired": ("quá hạn hoặc chưa tới giờ", "expired or not yet valid"),
    "reason.too-often": ("cùng người ký phát quá nhiều tin, sẽ gửi lại", "too many by the same signers, offered again"),
    "reason.clock-unusable": ("cụm loa chưa biết giờ đúng", "the cluster does not know the time"),
    "reason.not-read": ("phiên bản cụm loa chưa đọc được", "not read by this version"),
    "reason.refused": ("bị từ chối", "refused"),
}

_WRONG: Final = {
    "wrong.onward": ("Tiếp tục", "Go on"),
    "trouble.broker": (
        "Máy chủ đang mất kết nối với bộ chuyển lệnh: lệnh chưa tới được cụm loa nào. Báo ngay người quản trị.",
        "The controller has no connection to the broker: orders reach no cluster. Tell the operator at once.",
    ),
    "trouble.audit": (
        "Nhật ký kiểm tra không khớp: có dòng bị sửa, xóa hoặc thêm. Chạy «loa audit verify» và báo cấp trên.",
        "The audit log does not hold: rows were changed, removed or added. Run «loa audit verify» and report it.",
    ),
    "wrong.title": ("Không làm được", "That did not work"),
    "wrong.form": (
        "Biểu mẫu này đã cũ, nên chưa làm gì cả. Mở lại trang rồi làm lần nữa.",
        "This form is out of date, so nothing was done. Open the page again and repeat.",
    ),
    "wrong.area": ("Không có khu vực này. Hãy chọn lại.", "There is no such area. Choose again."),
    "wrong.day": ("Ngày ghi không đúng dạng ngày/tháng/năm.", "The day is not written as day/month/year."),
}


_REFUSED: Final = {
    "refused.right": (
        "Tài khoản này không được giao việc đó ở nơi đó. Hãy nhờ cán bộ được giao, hoặc người quản trị.",
        "This account has no duty for that there. Ask an officer who has, or the operator.",
    ),
    "refused.has-factor": ("Tài khoản này đã cài mã xác nhận.", "This account has its codes set up already."),
    "refused.factor-unreadable": (
        "Máy chủ không đọc được mã xác nhận đã cài. Người quản trị phải cho cài lại.",
        "The server cannot read your second factor. The operator must reset it.",
    ),
    "refused.no-session": ("Nơi đó đã kết thúc rồi.", "That one has ended already."),
    "refused.no-draft": (
        "Bản soạn này không còn: đã phát, đã hết hạn, hoặc của người khác. Xem «Các lần phát»; nếu chưa phát thì soạn lại.",
        "This draft is gone: sent, expired, or another person's. Look at the incidents; if it is not there, write it again.",
    ),
    "refused.unknown-incident": ("Không có lần phát này.", "There is no such incident."),
    "refused.unknown-area": ("Không có khu vực này. Hãy chọn lại.", "There is no such area. Choose again."),
    "refused.no-area": ("Hãy chọn nơi phát.", "Choose where."),
    "refused.second": (
        "Cần chữ ký của một người khác: người đã ký trước không thể ký thay người thứ hai.",
        "Another person's signature is needed: who signed first cannot be the second.",
    ),
    "refused.no-wanted": (
        "Lệnh này không còn chờ ký (đã gửi, bỏ, hết hạn, hoặc của người khác). CHƯA GỬI gì thêm.",
        "This waits no longer for a signature (sent, dropped, expired, or another person's). Nothing more was sent.",
    ),
    "refused.other-order": (
        "Lệnh đã ký không phải lệnh đã yêu cầu. CHƯA GỬI gì cả, hãy ký lại.",
        "What was signed is not what was asked for. NOTHING was sent, sign again.",
    ),
    "refused.too-many-waiting": (
        "Đang có quá nhiều lệnh chờ chữ ký thứ hai. Hãy ký hoặc bỏ bớt.",
        "Too much waits for a second signature. Sign or drop some of it.",
    ),
    "refused.no-text": ("Chưa có lời đọc hay bản ghi nào.", "There is nothing to be said yet."),
    "refused.text": (
        "Lời đọc có chỗ không gửi được. Hãy viết lại ngắn gọn hơn.",
        "The text cannot be sent. Write it again, shorter.",
    ),
    "refused.malformed": (
        "Lệnh vượt quá giới hạn cho phép (thường là lời đọc quá dài). Hãy rút ngắn. Chưa phát gì cả.",
        "The order breaks a limit (mostly: too long a text). Shorten it. Nothing was sent.",
    ),
    "refused.unknown-media": (
        "Bản ghi này không còn trong thư viện. Hãy chọn lại.",
        "That recording is no longer in the library.",
    ),
    "refused.too-many": (
        "Đã phát quá nhiều lệnh trong một phút. Hãy đợi một chút rồi thử lại. CHƯA GỬI gì cả.",
        "Too many orders within a minute. Wait a little, then try again. NOTHING was sent.",
    ),
    "refused.clock": (
        "Đồng hồ máy chủ sai nên không ký được lệnh. CHƯA GỬI gì cả. Báo ngay người quản trị.",
        "The server's clocks disagree: NOTHING was sent. Tell the operator at once.",
    ),
    "refused.not-empowered": (
        "Khóa đã ký không có quyền làm việc này ở nơi này. CHƯA GỬI gì cả.",
        "The key that signed has no power to do this here. NOTHING was sent.",
    ),
    "refused.service-words": (
        "Khóa dịch vụ chỉ phát các bản ghi đã được liệt kê, không đọc lời.",
        "A service key says the recordings that are listed for it, and no words.",
    ),
    "refused.too-wide": (
        "Nơi này rộng hơn một xã: phải ký bằng khóa riêng của cán bộ.",
        "This is wider than a commune: an officer's own key must sign it.",
    ),
    "refused.too-often": (
        "Khóa này vừa phát quá nhiều lần. Đợi vài giây rồi thử lại. Không phải mình bấm: báo ngay người vận hành.",
        "This key began too many of late. Wait some seconds. If it was not you, have the operator suspend the key at once.",
    ),
    "refused.suspended": (
        "Khóa đang bị tạm ngưng. Hỏi người vận hành.",
        "The key is suspended. Ask the operator.",
    ),
    "refused.too-few-persons": (
        "Chưa đủ người ký cho nơi này.",
        "Not enough persons signed for this place.",
    ),
    "refused.bad-signature": (
        "Chữ ký không đúng, hoặc khóa không còn hiệu lực.",
        "The signature is wrong, or its key counts no more.",
    ),
    "refused.not-mine": ("Lệnh này không dành cho nơi đó.", "This is not for that place."),
    "refused.wrong-type": ("Không phải loại lệnh dùng ở đây.", "This is not what belongs here."),
    "refused.not-read": (
        "Máy chủ chưa đọc được loại này: cần nâng cấp.",
        "The controller cannot read this kind: it needs an upgrade.",
    ),
    "refused.expired": ("Quyền hoặc thời hạn đã hết. Làm lại từ đầu.", "The authority or its time is over. Begin anew."),
    "refused.from-future": (
        "Giờ trong lệnh đi trước giờ máy chủ. Kiểm tra đồng hồ.",
        "It is dated ahead of the controller's clock. Check the clocks.",
    ),
    "refused.superseded": (
        "Đã có lệnh mới hơn. Xem lại rồi hãy làm tiếp.",
        "A newer one is in force. Look again before you go on.",
    ),
    "refused.stopped": ("Lần phát này đã có lệnh dừng.", "A STOP covers this already."),
    "refused.equivocation": (
        "Cùng một lệnh mà hai nội dung: không nhận. Báo người vận hành.",
        "One order with two contents is not taken. Tell the operator.",
    ),
    "refused.clock-unusable": (
        "Đồng hồ máy chủ chưa đúng. Báo người vận hành.",
        "The controller's clock cannot be trusted. Tell the operator.",
    ),
    "refused.clip-lang": ("Mỗi bản ghi phải chọn ngôn ngữ.", "Each recording needs its language."),
    "refused.unknown-node": ("Không có cụm loa này ở đây.", "There is no such cluster here."),
    "refused.weak": (
        "Mật khẩu mới phải có ít nhất 10 ký tự, không chứa tên đăng nhập, khác mật khẩu cũ.",
        "The new password needs 10 characters, must not hold your user name, and must differ from the old one.",
    ),
    "refused.wrong-password": ("Mật khẩu hiện nay không đúng.", "The present password is wrong."),
}

TEXTS: Final[dict[str, tuple[str, str]]] = {
    **_FRAME,
    **_LOGIN,
    **ACCOUNT,
    **_HOME,
    **INCIDENT,
    **EMERGENCY,
    **REVIEW,
    **_LISTS,
    **TIMETABLE,
    **PLAN,
    **_WRONG,
    **_REFUSED,
}


def say(key: str, tongue: Tongue, **values: object) -> str:
    """The words of a key in this language, with its placeholders filled. A missing key is our bug (KeyError)."""
    return TEXTS[key][TONGUES.index(tongue)].format(**values)
