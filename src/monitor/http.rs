//! As much of HTTP/1.1 as a scrape needs: one request, `GET /metrics`, one answer, and the connection is closed.
//!
//! Written by hand, because there is so little of it: the libraries that are kept well bring a runtime of their own, of which the server has
//! one already, and those without one are kept no more. What a client can do here is bounded: it has to send a head of at most 8 KiB and
//! to take the answer within five seconds, and is alone meanwhile; whoever else comes waits in the kernel's backlog.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Where the page is.
pub const PATH: &str = "/metrics";

/// The version that Prometheus asks for as its second choice, and everybody else's first.
const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const HEAD_MAX: usize = 8 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time until it is noticed that the server has ended.
const BREATH: Duration = Duration::from_millis(100);

/// What is answered instead of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BadRequest,
    NotFound,
    NotAllowed,
    Late,
    TooLarge,
}

impl Refusal {
    /// Status line and body.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("400 Bad Request", "expected an HTTP/1 request\n"),
            Self::NotFound => ("404 Not Found", "there is /metrics, and nothing else\n"),
            Self::NotAllowed => ("405 Method Not Allowed", "expected GET or HEAD\n"),
            Self::Late => ("408 Request Timeout", "the request did not arrive whole in time\n"),
            Self::TooLarge => ("431 Request Header Fields Too Large", "the request's head is too large\n"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Page,
    Head,
}

/// Answers the one request of a connection. The page is made when it is known that it is asked for.
pub fn answer<'a>(
    mut socket: &TcpStream,
    page: impl FnOnce() -> &'a str,
    has_ended: impl Fn() -> bool,
) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(BREATH))?;
    socket.set_write_timeout(Some(BREATH))?;
    let begun = Instant::now();
    let is_over = || begun.elapsed() >= PATIENCE || has_ended();
    let answer = match read_head(socket, &is_over)? {
        None => return Ok(()),
        Some(Ok(asked)) => {
            let page = page();
            let mut answer = head("200 OK", TYPE, "", page.len());
            if asked == Asked::Page {
                answer.push_str(page);
            }
            answer
        }
        Some(Err(refusal)) => {
            let (status, body) = refusal.text();
            let allow = if refusal == Refusal::NotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
            head(status, "text/plain; charset=utf-8", allow, body.len()) + body
        }
    };
    let mut left = answer.as_bytes();
    loop {
        match socket.write(left) {
            Ok(count) => left = &left[count..],
            Err(e) if is_for_now(&e) => {}
            Err(e) => return Err(e),
        }
        if left.is_empty() || is_over() {
            return Ok(());
        }
    }
}

fn head(status: &str, kind: &str, more: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    )
}

fn is_for_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Reads to the end of the head; `None` if the client is gone before it.
fn read_head(
    mut socket: &TcpStream,
    is_over: &impl Fn() -> bool,
) -> std::io::Result<Option<Result<Asked, Refusal>>> {
    let mut head = [0; HEAD_MAX];
    let mut size = 0;
    loop {
        match socket.read(&mut head[size..]) {
            Ok(0) => return Ok(None),
            Ok(count) => size += count,
            Err(e) if is_for_now(&e) => {}
            Err(e) => return Err(e),
        }
        if head[..size].windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(parse(&head[..size])));
        }
        if size == HEAD_MAX {
            return Ok(Some(Err(Refusal::TooLarge)));
        }
        if is_over() {
            return Ok(Some(Err(Refusal::Late)));
        }
    }
}

/// What a whole head asks for.
fn parse(head: &[u8]) -> Result<Asked, Refusal> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::BadRequest)?;
    let words: Vec<_> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(Refusal::BadRequest) };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(Refusal::BadRequest);
    }
    let asked = match method {
        "GET" => Asked::Page,
        "HEAD" => Asked::Head,
        _ => return Err(Refusal::NotAllowed),
    };
    match target.split('?').next() {
        Some(PATH) => Ok(asked),
        _ => Err(Refusal::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};

    #[test]
    fn one_thing_can_be_asked_for() {
        let cases: [(&str, Result<Asked, Refusal>); 12] = [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Asked::Page)),
            ("GET /metrics?name=x HTTP/1.0\r\n\r\n", Ok(Asked::Page)),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Ok(Asked::Head)),
            ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(Refusal::NotAllowed)),
            ("DELETE /other HTTP/1.1\r\n\r\n", Err(Refusal::NotAllowed)),
            ("GET /metrics HTTP/2\r\n\r\n", Err(Refusal::BadRequest)),
            ("GET metrics HTTP/1.1\r\n\r\n", Err(Refusal::BadRequest)),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Err(Refusal::BadRequest)),
            ("GET /metrics\r\n\r\n", Err(Refusal::BadRequest)),
            ("\r\n\r\n", Err(Refusal::BadRequest)),
        ];
        for (head, expected) in cases {
            assert_eq!(parse(head.as_bytes()), expected, "{head:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(Refusal::BadRequest));
    }

    /// What comes back for these bytes, of which nothing follows.
    fn ask(bytes: &[u8], page: &str, has_ended: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        client.write_all(bytes).expect("written");
        if !has_ended {
            client.shutdown(Shutdown::Write).expect("shut down");
        }
        let (server, _) = listener.accept().expect("accepted");
        answer(&server, || page, || has_ended).expect("answered");
        drop(server);
        let mut said = String::new();
        client.read_to_string(&mut said).expect("read");
        said
    }

    #[test]
    fn an_answer_is_whole_and_ends_the_connection() {
        let said = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "up 1\n", false);
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 5\r\n\
                        Connection: close\r\n\r\nup 1\n";
        assert_eq!(said, expected);
        let said = ask(b"HEAD /metrics HTTP/1.1\r\n\r\n", "up 1\n", false);
        assert!(said.contains("Content-Length: 5\r\n") && said.ends_with("\r\n\r\n"), "{said}");
        let said = ask(b"PUT /metrics HTTP/1.1\r\n\r\n", "", false);
        assert!(said.starts_with("HTTP/1.1 405 ") && said.contains("Allow: GET, HEAD\r\n"), "{said}");
        assert_eq!(ask(b"GET /metr", "", false), "", "who goes away is told nothing");
        assert!(
            ask(b"GET /metr", "", true).starts_with("HTTP/1.1 408 "),
            "the server doesn't wait for a client at its end"
        );
        assert!(ask(&[b'x'; HEAD_MAX], "", false).starts_with("HTTP/1.1 431 "));
    }
}
