"""Notices: what is sent, to whom, how often it is tried, and that no secret is ever told."""

import dataclasses
import json
import logging
import re
import socket
import ssl
import threading
from email import message_from_bytes, policy

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pytest_httpserver import HTTPServer

from flairstream_training import cli, notify
from flairstream_training.errors import InputError
from flairstream_training.notify import channels, email, post, teams
from flairstream_training.notify.patience import Patience

SECRET = "sig=c4nary%2Fof%2Bthe=mine"
PASSWORD = "c4nary-password"
AT_ONCE = Patience(total=5, attempt=0.3, attempts=3, pause=0)
NOTICE = notify.Notice(
    kind="training_finished",
    subject="support-topics 1.2.0: training finished",
    severity="good",
    text="Macro F1 0.981 (champion 0.974).\nClass re*turn_label* moved most.",
    facts=(("Accuracy", "98.4 %"), ("Class [a](b)", "-1.2 pp")),
    links=(("Model version", "https://mlflow.example.org/#/models/support-topics/versions/7"), ("File", "file:///etc")),
    model="support-topics",
    version="1.2.0",
    run="job-17",
    run_url="https://mlflow.example.org/#/runs/1",
    started_at="2026-01-05T10:00:00Z",
)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority) -> ssl.SSLContext:
    """What the receivers here speak TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def https(tls):
    with HTTPServer(host="localhost", ssl_context=tls) as server:
        yield server


@pytest.fixture
def receiver(https) -> HTTPServer:
    """Takes notices by HTTPS; it knows of no earlier test."""
    https.clear()
    return https


@pytest.fixture
def trusted(authority, tmp_path) -> dict[str, str]:
    """The environment of a user whose company has an authority of its own."""
    authority.cert_pem.write_to_path(f"{tmp_path}/ca.pem")
    return {"REQUESTS_CA_BUNDLE": f"{tmp_path}/ca.pem"}


@pytest.fixture
def webhook(receiver, trusted):
    """Sends a notice to the local receiver by a URL of the kind; gives the fault."""

    def send(url: str = "teams+https://localhost:{port}/workflows/x?api-version=1&" + SECRET) -> str:
        environment = {**trusted, "FLAIRSTREAM_NOTIFY": url.format(port=receiver.port)}
        notifier = notify.Notifier(channels.from_environment(environment, AT_ONCE))
        return notifier.deliver(NOTICE)[0][1]

    return send


def answers(receiver, *codes: int, headers: dict | None = None) -> None:
    for code in codes:
        receiver.expect_ordered_request("/workflows/x", method="POST").respond_with_data("", code, headers=headers)


def card_of(message: dict) -> dict:
    """The card, after a look at all around it; the elements are those of Adaptive Cards 1.4."""
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    required = {"TextBlock": "text", "FactSet": "facts"}
    for element in card["body"]:
        assert element[required[element["type"]]]
    for facts in (element["facts"] for element in card["body"] if element["type"] == "FactSet"):
        assert all(set(fact) == {"title", "value"} for fact in facts)
    assert all(set(action) == {"type", "title", "url"} for action in card["actions"])
    return card


def test_a_card_reaches_teams(receiver, webhook):
    answers(receiver, 202)
    assert webhook() == ""
    request, _ = receiver.log[0]
    assert request.query_string.decode() == f"api-version=1&{SECRET}"
    assert request.headers["Content-Type"].startswith("application/json")
    card = card_of(request.get_json())
    heading, facts, text = card["body"]
    assert heading["text"] == "support-topics 1.2.0: training finished"
    assert heading["color"] == "Good"
    assert {fact["title"]: fact["value"] for fact in facts["facts"]} == {
        "Phase": "development",
        "Model": "support-topics 1.2.0",
        "Run": "job-17",
        "Started": "2026-01-05T10:00:00Z",
        "Accuracy": "98.4 %",
        r"Class \[a\](b)": "-1.2 pp",
        "Key": NOTICE.key,
    }
    assert text["text"] == "Macro F1 0.981 (champion 0.974).\nClass re\\*turn\\_label\\* moved most."
    assert [action["title"] for action in card["actions"]] == ["Run", "Model version"]


@pytest.mark.parametrize("codes", [(500, 202), (429, 408, 202), (503, 503, 202)])
def test_what_may_pass_is_tried_again(receiver, webhook, codes):
    answers(receiver, *codes, headers={"Retry-After": "0"})
    assert webhook() == ""
    assert len(receiver.log) == len(codes)


@pytest.mark.parametrize(
    ("code", "reason"), [(400, "body"), (401, "credentials"), (413, "too large"), (302, "redirects")]
)
def test_what_will_not_change_is_tried_once(receiver, webhook, code, reason):
    answers(receiver, code, 202, headers={"Location": receiver.url_for("/elsewhere")})
    fault = webhook()
    assert f"it answered {code}" in fault
    assert reason in fault
    assert len(receiver.log) == 1


def test_trying_ends(receiver, webhook):
    answers(receiver, 500, 500, 500, 202)
    assert webhook() == "it answered 500; given up after 3 attempts"
    assert len(receiver.log) == 3


def test_a_pause_longer_than_patience_is_not_waited_for(receiver, webhook):
    answers(receiver, 429, 202, headers={"Retry-After": "3600"})
    assert webhook() == "it answered 429 and asks to wait 3600 s; given up after 1 attempt"
    assert len(receiver.log) == 1


def test_a_pause_that_is_asked_for_is_made(receiver, webhook, monkeypatch):
    pauses = []
    monkeypatch.setattr("flairstream_training.notify.patience.time.sleep", pauses.append)
    answers(receiver, 429, 202, headers={"Retry-After": "3"})
    assert webhook() == ""
    assert pauses == [3.0]


def test_retry_after_is_seconds_or_a_date():
    assert post.retry_after("7", 0) == 7
    assert post.retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 40) == 60
    assert post.retry_after("Thu, 01 Jan 1970 00:00:10 GMT", 40) == 0
    assert post.retry_after("soon", 0) is None
    assert post.retry_after("²", 0) is None
    assert post.retry_after(None, 0) is None


def test_a_receiver_that_hangs_is_given_up(trusted):
    with socket.create_server(("localhost", 0)) as silent:  # never accepts: the handshake waits
        environment = {**trusted, "FLAIRSTREAM_NOTIFY": f"teams+https://localhost:{silent.getsockname()[1]}/?{SECRET}"}
        (channel,) = channels.from_environment(environment, AT_ONCE)
        notifier = notify.Notifier([channel])
        assert notifier.deliver(NOTICE) == [(channel.name, "it did not answer in time; given up after 3 attempts")]


def test_a_connection_that_drops_is_tried_again(trusted, tls):
    seen = []

    def serve() -> None:
        for answer in (b"", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"):
            with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
                request = b""
                while not request.endswith(b"}"):  # what is left unread would reset the connection
                    request += connection.recv(1 << 16)
                seen.append(request)
                connection.sendall(answer)

    with socket.create_server(("localhost", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        environment = {
            **trusted,
            "FLAIRSTREAM_NOTIFY": f"teams+https://localhost:{listener.getsockname()[1]}/?{SECRET}",
        }
        patience = Patience(attempt=5, pause=0)
        ((channel, fault),) = notify.Notifier(channels.from_environment(environment, patience)).deliver(NOTICE)
        thread.join()
    assert (channel.startswith("Teams at localhost"), fault, len(seen)) == (True, "", 2)


def test_an_unknown_authority_is_named_with_the_remedy(receiver):
    environment = {"FLAIRSTREAM_NOTIFY": f"teams+https://localhost:{receiver.port}/?{SECRET}"}
    ((_, fault),) = notify.Notifier(channels.from_environment(environment, AT_ONCE)).deliver(NOTICE)
    assert "certificate is not trusted" in fault
    assert "REQUESTS_CA_BUNDLE" in fault


def test_one_channel_never_keeps_another_nor_the_training(caplog):
    class Stuck:
        name = "stuck"

        def send(self, _notice) -> None:
            release.wait()

    class Broken:
        name = "broken"

        def send(self, _notice) -> None:
            raise RuntimeError(SECRET)

    class Works:
        name = "works"

        def send(self, notice) -> None:
            taken.append(notice)

    release, taken = threading.Event(), []
    notify.Notifier([Stuck(), Broken(), Works()], seconds=0.2).send(NOTICE)
    release.set()
    assert taken == [NOTICE]
    assert [record.getMessage() for record in caplog.records] == [
        "notice training_finished was not taken by stuck: it did not answer in time",
        "notice training_finished was not taken by broken: a fault of this program: RuntimeError",
    ]


def test_teams_gets_no_more_posts_than_it_takes(receiver, trusted):
    receiver.expect_request("/w").respond_with_data("", 202)
    environment = {**trusted, "FLAIRSTREAM_NOTIFY": f"teams+https://localhost:{receiver.port}/w?{SECRET}"}
    notifier = notify.Notifier(channels.from_environment(environment, AT_ONCE))
    faults = [notifier.deliver(NOTICE)[0][1] for _ in range(teams.POSTS + 1)]
    assert faults == [""] * 25 + ["25 notices in 300 s are all that Teams takes"]
    assert len(receiver.log) == 25


def test_a_card_too_large_is_trimmed_and_says_so():
    facts = tuple((f"class {i}", "ü*" * 400) for i in range(150))
    body = teams.message(dataclasses.replace(NOTICE, text="x" * 100_000, facts=facts, subject="s\n" * 1000))
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 21_000
    heading, facts, text = card_of(body)["body"]
    assert heading["text"].endswith("… (1749 characters left out)")
    assert "characters left out" in text["text"]
    left_out = re.fullmatch(r"(\d+) more left out: a card takes 20 KB", facts["facts"][-1]["value"])
    assert int(left_out[1]) + len(facts["facts"]) - 1 == 150 + 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 98.4 % (a < b)", r"plain, 98.4 % (a \< b)"),
        ("[x](http://e.org)", r"\[x\](http://e.org)"),
        ("- item\n  1. one\n# head", "\\- item\n  1\\. one\n\\# head"),
        ("C:\\new `code`", r"C:\\new \`code\`"),
    ],
)
def test_markdown_is_shown_as_it_is(text, shown):
    assert teams.escape(text) == shown


def test_an_email_webhook_is_told_what_to_send_to_whom(receiver, webhook):
    receiver.expect_request("/workflows/x").respond_with_data("", 202)
    assert (
        webhook("email+https://localhost:{port}/workflows/x?to=team%2Bml@example.org,b+c@example.org&" + SECRET) == ""
    )
    request, _ = receiver.log[0]
    assert request.query_string.decode() == SECRET
    body = request.get_json()
    assert body["to"] == ["team+ml@example.org", "b+c@example.org"]
    assert body["subject"] == NOTICE.subject
    assert "Accuracy: 98.4 %" in body["text"]
    assert "<td>-1.2 pp</td>" in body["html"]
    assert body["dedupe_key"] == f"{NOTICE.key}.training_finished"
    assert body["notice"] == NOTICE.envelope()


def test_the_key_is_the_runs():
    failed = dataclasses.replace(NOTICE, kind="training_failed", subject="other", started_at="later")
    assert failed.key == NOTICE.key
    assert failed.dedupe_key != NOTICE.dedupe_key
    assert dataclasses.replace(NOTICE, run="job-18").key != NOTICE.key
    nameless = dataclasses.replace(NOTICE, run="")
    assert dataclasses.replace(nameless, started_at="later").key != nameless.key


def test_html_is_escaped():
    attack = dataclasses.replace(
        NOTICE, text="<script>", facts=(("<b>", "&"),), links=(("x", 'https://e.org/"onclick='),)
    )
    page = email.rich(attack)
    assert "<script>" not in page
    assert "<b>" not in page
    assert 'https://e.org/"' not in page


class Mailbox:
    """A mail server on this machine that wants TLS and a password."""

    def __init__(self) -> None:
        self.mails = []
        self.codes = []

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        if self.codes:
            return self.codes.pop(0)
        self.mails.append((envelope, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"

    @staticmethod
    def authenticate(_server, _session, _envelope, _mechanism, login: LoginPassword) -> AuthResult:
        return AuthResult(handled=False, success=login == LoginPassword(b"robot@example.org", PASSWORD.encode()))


class StartTls(Controller):
    """STARTTLS is wanted before anything else, then a log-in."""

    def __init__(self, mailbox: Mailbox, **more) -> None:
        self._more = more
        super().__init__(mailbox, hostname="localhost", port=free_port())

    def factory(self) -> SMTP:
        return SMTP(self.handler, **self._more)


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def mailbox():
    return Mailbox()


@pytest.fixture
def mail(trusted, tmp_path, mailbox, tls):
    """Sends a notice by a mail server; gives the fault."""
    starttls = {"tls_context": tls, "require_starttls": True}
    login = {"authenticator": mailbox.authenticate, "auth_required": True}

    def send(scheme="smtp", server=None, password=PASSWORD, user="robot%40example.org@") -> str:
        (tmp_path / "password").write_text(f"{password}\n")
        controller = StartTls(mailbox, **(login | starttls if server is None else server))
        if scheme == "smtps":
            controller.ssl_context = tls
        controller.start()
        try:
            url = f"{scheme}://{user}localhost:{controller.port}?from=robot@example.org&to=a@example.org,b@example.org"
            environment = {
                **trusted,
                "FLAIRSTREAM_NOTIFY": url,
                "FLAIRSTREAM_SMTP_PASSWORD_FILE": f"{tmp_path}/password",
            }
            return notify.Notifier(channels.from_environment(environment, AT_ONCE)).deliver(NOTICE)[0][1]
        finally:
            controller.stop()

    return send


def test_a_mail_goes_through_starttls(mail, mailbox):
    assert mail() == ""
    ((envelope, message),) = mailbox.mails
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    assert message["Subject"] == NOTICE.subject
    assert message["References"] == f"<{NOTICE.key}@flairstream.invalid>"
    assert "Accuracy: 98.4 %" in message.get_body(("plain",)).get_content()
    assert "98.4 %</td>" in message.get_body(("html",)).get_content()


def test_a_mail_goes_through_tls_at_once(mail, mailbox):
    server = {"authenticator": mailbox.authenticate, "auth_require_tls": False}
    assert mail("smtps", server=server) == ""
    assert len(mailbox.mails) == 1


def test_nothing_is_said_to_a_server_without_starttls(mail, mailbox):
    fault = mail(server={"authenticator": mailbox.authenticate, "auth_require_tls": False})
    assert "no STARTTLS" in fault
    assert mailbox.mails == []


def test_a_wrong_password_is_tried_once(mail):
    assert "refused the user or the password" in mail(password="wrong")


def test_a_busy_mail_server_is_tried_again(mail, mailbox):
    mailbox.codes = ["451 busy"]
    assert mail() == ""
    mailbox.codes = ["554 no"]
    assert mail() == "the server answered 554"
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"https://example.org/?{SECRET}", "want teams+https://"),
        (f"example.org/?{SECRET}", "no host"),
        (f"teams+https://[{SECRET}", "not a URL"),
        (f"teams+https://example.org:{SECRET}/", "not a URL"),
        (f"email+https://example.org/?{SECRET}", 'want "to="'),
        (f"email+https://example.org/?to=nobody&{SECRET}", 'want "to="'),
        (f"smtp://robot:{PASSWORD}@example.org?from=a@b.c&to=a@b.c", "FLAIRSTREAM_SMTP_PASSWORD_FILE"),
        ("smtp://robot@example.org?from=a@b.c&to=a@b.c", "FLAIRSTREAM_SMTP_PASSWORD_FILE"),
        ("smtp://example.org?to=a@b.c", 'want "from="'),
    ],
)
def test_a_wrong_setting_is_named_without_its_secret(url, words):
    with pytest.raises(InputError) as refused:
        notify.open({"FLAIRSTREAM_NOTIFY": f"teams+https://example.org/ {url}"})
    assert str(refused.value).startswith("FLAIRSTREAM_NOTIFY, channel 2: ")
    assert words in str(refused.value)
    assert "c4nary" not in str(refused.value)


def test_no_setting_means_nobody_is_told():
    assert notify.open({}).deliver(NOTICE) == []


def test_the_command_says_what_each_channel_said(receiver, trusted, tmp_path, monkeypatch, capsys):
    answers(receiver, 202, 400)
    lines = [f"teams+https://localhost:{receiver.port}/workflows/x?{SECRET}"] * 2
    (tmp_path / "channels").write_text("# whom we tell\n\n" + "\n".join(lines))
    monkeypatch.setenv("FLAIRSTREAM_NOTIFY_FILE", f"{tmp_path}/channels")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted["REQUESTS_CA_BUNDLE"])
    assert cli.main(["notify", "test"]) == 1
    first, second = sorted(capsys.readouterr().out.splitlines())
    assert first.endswith(": NOT taken: it answered 400: it does not understand the body")
    assert second.endswith(": taken")
    monkeypatch.delenv("FLAIRSTREAM_NOTIFY_FILE")
    assert cli.main(["notify", "test"]) == 2
    assert "FLAIRSTREAM_NOTIFY" in capsys.readouterr().err


def test_no_secret_is_ever_told(receiver, webhook, mail, mailbox, caplog, capfd):
    """Not where all goes well, and not where anything fails, however much is logged."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, "werkzeug")  # the receiver itself may say what it got
    faults = []
    for code in (202, 302, 400, 429, 500):
        receiver.clear()
        receiver.expect_request("/workflows/x").respond_with_data("", code, {"Location": f"/?{SECRET}"})
        faults.append(webhook())
        faults.append(webhook("email+https://localhost:{port}/workflows/x?to=a@example.org&" + SECRET))
    faults += [
        webhook(f"teams+https://localhost:{free_port()}/?{SECRET}"),
        webhook(f"teams+https://x.invalid/?{SECRET}"),
    ]
    faults += [mail(), mail(password=f"{PASSWORD}?"), mail(server={})]
    logging.getLogger().warning("%s", faults)
    out, err = capfd.readouterr()
    assert len(mailbox.mails) == 1
    assert "c4nary" not in caplog.text + out + err + "".join(faults)
