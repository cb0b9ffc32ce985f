"""E-mail, by SMTP or by a webhook that sends it."""

import email.utils
import html
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from .notice import Notice
from .patience import NotTakenError, Patience, TryAgainError, persist
from .post import Webhook

_ROW = '<tr><td style="padding-right:1em;vertical-align:top">{}</td><td>{}</td></tr>'


class EmailWebhook:
    """A flow that is posted what to send to whom."""

    def __init__(self, name: str, webhook: Webhook, to: tuple[str, ...]) -> None:
        self.name = name
        self._webhook = webhook
        self._to = to

    def send(self, notice: Notice) -> None:
        """Raises NotTakenError where the flow did not accept it."""
        self._webhook.post(
            {
                "to": list(self._to),
                "subject": subject(notice),
                "text": plain(notice),
                "html": rich(notice),
                "dedupe_key": notice.dedupe_key,
                "notice": notice.envelope(),
            }
        )


@dataclass(frozen=True)
class Smtp:
    """A mail server, spoken to through TLS only."""

    name: str
    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    trust: ssl.SSLContext = field(repr=False)
    patience: Patience
    user: str = ""
    password: str = field(default="", repr=False)
    tls_at_once: bool = False  # smtps; else STARTTLS, which is not done without

    def send(self, notice: Notice) -> None:
        """Raises NotTakenError where the server did not accept it for every recipient."""
        mail = compose(notice, self.sender, self.to)
        persist(lambda timeout: self._once(mail, timeout), self.patience)

    def _once(self, mail: EmailMessage, timeout: float) -> None:
        try:
            with self._connect(timeout) as server:
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(mail)
        except (smtplib.SMTPException, OSError) as err:
            raise _fault(err) from None
        if refused:
            raise NotTakenError(f"the server refused {len(refused)} of {len(self.to)} recipients")

    def _connect(self, timeout: float) -> smtplib.SMTP:
        if self.tls_at_once:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=self.trust)
        server = smtplib.SMTP(self.host, self.port, timeout=timeout)
        try:
            server.starttls(context=self.trust)
        except BaseException:
            server.close()
            raise
        return server


def _fault(err: Exception) -> NotTakenError | TryAgainError:
    match err:
        case smtplib.SMTPAuthenticationError():
            return NotTakenError("the server refused the user or the password (FLAIRSTREAM_SMTP_PASSWORD_FILE)")
        case smtplib.SMTPNotSupportedError():
            return NotTakenError(
                "the server offers no STARTTLS or no log-in; where it speaks TLS at once, write smtps://"
            )
        case smtplib.SMTPRecipientsRefused():
            codes = {code for code, _ in err.recipients.values()}
            fault = TryAgainError if all(code < 500 for code in codes) else NotTakenError
            return fault(f"the server refused every recipient ({', '.join(map(str, sorted(codes)))})")
        case smtplib.SMTPResponseException():
            fault = TryAgainError if err.smtp_code < 500 else NotTakenError
            return fault(f"the server answered {err.smtp_code}")
        case ssl.SSLCertVerificationError():
            return NotTakenError(
                f"its certificate is not trusted ({err.verify_message}): "
                "name the file with your own authority's certificates in REQUESTS_CA_BUNDLE"
            )
        case TimeoutError():
            return TryAgainError("it did not answer in time")
    return TryAgainError(f"no connection: {getattr(err, 'strerror', None) or type(err).__name__}")


def compose(notice: Notice, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """The mail; all mails of a run stand in one thread."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), subject(notice)
    mail["Date"] = email.utils.localtime()
    mail["Message-ID"] = email.utils.make_msgid(notice.dedupe_key, "flairstream.invalid")
    mail["References"] = f"<{notice.key}@flairstream.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain(notice))
    mail.add_alternative(rich(notice), subtype="html")
    return mail


def subject(notice: Notice) -> str:
    """The mail's subject; says at once what needs somebody."""
    return f"[{notice.severity}] {notice.title}" if notice.severity in ("warning", "critical") else notice.title


def plain(notice: Notice) -> str:
    """The notice for readers of plain text."""
    facts = [f"{name}: {value}" for name, value in notice.rows]
    links = [f"{title}: {url}" for title, url in notice.pages]
    return "\n\n".join(filter(None, (notice.title, notice.text, "\n".join(facts), "\n".join(links)))) + "\n"


def rich(notice: Notice) -> str:
    """The notice as HTML, with nothing fetched from anywhere."""
    rows = "".join(_ROW.format(html.escape(name), html.escape(value)) for name, value in notice.rows)
    links = "".join(f'<p><a href="{html.escape(url)}">{html.escape(title)}</a></p>' for title, url in notice.pages)
    text = f"<p>{html.escape(notice.text)}</p>" if notice.text else ""
    return f"<html><body><h3>{html.escape(notice.title)}</h3>{text}<table>{rows}</table>{links}</body></html>"
