"""A model behind a real local HTTP server: what is sent, what comes back, and when it is given up."""

import itertools
import socket
import threading

import httpx
import pytest
from werkzeug import Response

from components.scoring.chat import ChatServer, JudgeError, JudgeSettings, _rest_s, request

KEY = "sk-very-secret-key"


def settings(**changed):
    return JudgeSettings(
        **{"kind": "ollama", "model": "llama3", "timeout_s": 5.0, "attempts": 2, "seed": 123, **changed}
    )


def ask(address, api_key=None, rests=None, **changed):
    """Return the answer to a question; the rests between attempts are noted, not taken."""
    rested = rests if rests is not None else []
    with ChatServer(settings(**changed), address, api_key=api_key, sleep=rested.append) as server:
        return server.ask(request(settings(**changed), "How good is it?"))


def ollama(verdict):
    return {"model": "llama3", "message": {"role": "assistant", "content": verdict}, "done": True}


def openai(verdict):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": verdict}}]}


def test_ollama_is_asked_at_temperature_0_with_the_seed_and_without_streaming(httpserver):
    httpserver.expect_oneshot_request("/api/chat", method="POST").respond_with_json(ollama("85"))
    assert ask(httpserver.url_for("")) == {"role": "assistant", "content": "85"}
    sent = httpserver.log[0][0].get_json()
    assert sent["model"] == "llama3"
    assert sent["stream"] is False
    assert sent["options"] == {"temperature": 0, "seed": 123}
    assert [message["role"] for message in sent["messages"]] == ["user"]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_openai_is_asked_with_the_key_as_bearer_token(httpserver, suffix):
    httpserver.expect_oneshot_request(
        "/v1/chat/completions", method="POST", headers={"Authorization": f"Bearer {KEY}"}
    ).respond_with_json(openai("100\n"))
    message = ask(httpserver.url_for("").rstrip("/") + suffix, api_key=KEY, kind="openai", model="gpt-4o")
    assert message == {"role": "assistant", "content": "100\n"}
    sent = httpserver.log[0][0].get_json()
    assert (sent["temperature"], sent["seed"]) == (0, 123)


def test_no_key_sends_no_authorization(httpserver):
    httpserver.expect_request("/api/chat").respond_with_json(ollama("1"))
    ask(httpserver.url_for(""))
    assert "Authorization" not in httpserver.log[0][0].headers


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_asked_again(httpserver, status):
    httpserver.expect_ordered_request("/api/chat").respond_with_data("busy", status=status)
    httpserver.expect_ordered_request("/api/chat").respond_with_json(ollama("50"))
    assert ask(httpserver.url_for(""))["content"] == "50"


def test_a_server_that_keeps_failing_is_an_error_after_the_attempts_allowed(httpserver):
    httpserver.expect_request("/api/chat").respond_with_data("out of\nmemory", status=500)
    with pytest.raises(JudgeError, match=r"answered 500 for model llama3, asked 3 times: out of memory$"):
        ask(httpserver.url_for(""), attempts=3)
    assert len(httpserver.log) == 3


def test_an_unknown_model_is_an_error_at_once(httpserver):
    httpserver.expect_request("/api/chat").respond_with_json({"error": "model 'llama3' not found"}, status=404)
    with pytest.raises(JudgeError, match=r"/api/chat answered 404 for model llama3: .*not found") as caught:
        ask(httpserver.url_for(""))
    assert len(httpserver.log) == 1
    assert "\n" not in str(caught.value)


def test_a_server_that_is_down_is_one_clear_line():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            JudgeError, match=f"the judge at {address}/api/chat cannot be reached, asked 2 times"
        ) as caught:
            ask(address)
    assert str(caught.value).endswith("; is it running?")
    assert "\n" not in str(caught.value)


def test_a_server_that_never_answers_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are queued and never read
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(JudgeError, match=r"gave no answer within 0\.05 s, asked once; is the model too large"):
            ask(address, timeout_s=0.05, attempts=1)


@pytest.mark.parametrize(
    "body", ["<html>a web page</html>", "[]", "null", '{"message": "85"}', '{"message": {"content": 85}}', "{}"]
)
def test_a_server_that_speaks_another_language_is_an_error(httpserver, body):
    httpserver.expect_request("/api/chat").respond_with_data(body)
    with pytest.raises(JudgeError, match="answered something that is no ollama chat: "):
        ask(httpserver.url_for(""))


def test_a_server_of_the_other_api_is_an_error(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_json(ollama("85"))
    with pytest.raises(JudgeError, match="no openai chat"):
        ask(httpserver.url_for(""), kind="openai")


def test_the_key_appears_in_no_error_and_no_repr(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(
        lambda request: Response(f"bad key: {request.headers['Authorization']}", status=401)
    )
    with ChatServer(settings(kind="openai"), httpserver.url_for(""), api_key=KEY) as server:
        assert KEY not in repr(server)
        with pytest.raises(JudgeError, match=r"answered 401 for model llama3: bad key: Bearer \[secret\]") as caught:
            server.ask(request(settings(kind="openai"), "?"))
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("key", ["", "sk-one\nsk-two", "sk-\u00e9", "sk one"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key):
    with pytest.raises(JudgeError, match="the API key is empty or holds") as caught:
        ChatServer(settings(), "http://127.0.0.1:11434", api_key=key)
    assert "sk" not in str(caught.value)


def test_a_password_in_the_address_is_not_shown():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(JudgeError, match="cannot be reached") as caught:
            ask(f"http://me:hidden@127.0.0.1:{unused.getsockname()[1]}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("user", ["me:hidden", "me"])
def test_a_key_beside_a_user_in_the_address_is_refused(user):
    with pytest.raises(JudgeError, match="there is an API key, and a user or password in the address; keep") as caught:
        ChatServer(settings(), f"http://{user}@127.0.0.1:11434", api_key=KEY)
    assert "hidden" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "localhost:11434", "ftp://host", "http://", "http://host:port", "http://h?key=1"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(JudgeError, match="the judge's address is no"):
        ChatServer(settings(), address)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": " "}, "model is empty"),
        ({"timeout_s": 0.0}, "timeout_s is 0.0; expected seconds, above 0"),
        ({"attempts": 0}, "attempts is 0; expected at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        settings(**changed)


@pytest.mark.parametrize("status", [429, 503])
def test_the_rest_that_a_server_asks_for_is_taken_exactly(httpserver, status):
    rests = []
    busy = httpserver.expect_ordered_request("/api/chat")
    busy.respond_with_data("busy", status=status, headers={"Retry-After": "17"})
    httpserver.expect_ordered_request("/api/chat").respond_with_json(ollama("50"))
    assert ask(httpserver.url_for(""), rests=rests)["content"] == "50"
    assert rests == [17.0]


def test_a_rest_until_a_moment_counts_by_the_servers_own_clock():
    told = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}
    assert _rest_s(httpx.Headers(told)) == 30.0
    assert _rest_s(httpx.Headers(told | {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) == 0.0
    assert _rest_s(httpx.Headers({"Retry-After": told["Retry-After"]})) is None


@pytest.mark.parametrize("told", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
def test_without_a_rest_told_each_is_longer_than_the_last(httpserver, told):
    rests = []
    httpserver.expect_request("/api/chat").respond_with_data("busy", status=429, headers=told)
    with pytest.raises(JudgeError, match=r"asked 7 times: busy$"):
        ask(httpserver.url_for(""), attempts=7, rests=rests)
    assert rests == [1, 2, 4, 8, 16, 30]


def test_429_for_ever_ends_after_the_attempts_in_one_line(httpserver):
    rests = []
    httpserver.expect_request("/api/chat").respond_with_data("slow\ndown", status=429, headers={"Retry-After": "2"})
    with pytest.raises(JudgeError, match=r"answered 429 for model llama3, asked 4 times: slow down$") as caught:
        ask(httpserver.url_for(""), attempts=4, rests=rests)
    assert (len(httpserver.log), rests) == (4, [2.0, 2.0, 2.0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", ["301", "9" * 400])
def test_a_rest_of_more_than_five_minutes_is_an_error_at_once(httpserver, asked):
    rests = []
    httpserver.expect_request("/api/chat").respond_with_data("", status=429, headers={"Retry-After": asked})
    with pytest.raises(JudgeError, match=r"answered 429 .* s of rest; run again then, what is judged is kept$"):
        ask(httpserver.url_for(""), attempts=4, rests=rests)
    assert (len(httpserver.log), rests) == (1, [])


@pytest.fixture
def dripping():
    """The address of a server whose answer never ends, sent piece by piece."""
    ended = threading.Event()

    def serve(listening, piece, pause_s):
        with listening.accept()[0] as connection:
            connection.recv(100_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            try:
                while not ended.wait(pause_s):
                    connection.sendall(piece)
            except OSError:
                pass  # the client has gone

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = []

        def start(piece, pause_s):
            threads.append(threading.Thread(target=serve, args=(listening, piece, pause_s)))
            threads[-1].start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield start
        ended.set()
        for each in threads:
            each.join()


def test_an_answer_that_drips_for_ever_is_too_late_though_each_piece_is_in_time(dripping):
    with pytest.raises(JudgeError, match=r"gave no answer within 0\.1 s"):
        ask(dripping(b" ", 0.01), timeout_s=0.1, attempts=1)


def test_an_answer_without_end_is_refused(dripping):
    with pytest.raises(JudgeError, match="answered more than 4,000,000 bytes; expected a verdict"):
        ask(dripping(b" " * 1_000_000, 0.001), attempts=1, timeout_s=60.0)


def test_a_request_holds_all_that_a_reply_depends_on_and_no_address_key_or_patience():
    same = request(settings(), "?")
    assert same == request(settings(timeout_s=9.0, attempts=7), "?")
    others = [
        request(settings(**changed), prompt)
        for changed, prompt in [({}, "!"), ({"kind": "openai"}, "?"), ({"model": "m"}, "?"), ({"seed": 1}, "?")]
    ]
    assert all(a != b for a, b in itertools.combinations([same, *others], 2))
