//! As much of HTTP/1.1 (RFC 9112) as a monitoring program needs: one GET a connection, bounded in bytes and in time.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    reason: &'static str,
    body: String,
}

impl Answer {
    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, reason: "OK", body: body.into() }
    }
    pub(super) fn unavailable(body: &str) -> Self {
        Self { status: 503, reason: "Service Unavailable", body: body.to_owned() }
    }
    pub(super) fn not_found(body: &str) -> Self {
        Self { status: 404, reason: "Not Found", body: body.to_owned() }
    }
    fn bad(status: u16, reason: &'static str) -> Self {
        Self { status, reason, body: format!("{reason}\n") }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, reason, body } = self;
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// Answers whoever asks, each by what `answer` says of the path.
pub(super) async fn serve(listener: TcpListener, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) {
    let answer = Arc::new(answer);
    let places = Arc::new(Semaphore::new(ASKING_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((mut stream, _)) = listener.accept().await else {
            // Out of file descriptors: others give theirs back.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let answered = async {
                let given = match path(&mut stream).await {
                    Ok(path) => answer(&path),
                    Err(bad) => bad,
                };
                stream.write_all(&given.bytes()).await?;
                stream.shutdown().await
            };
            // Who goes away, or is too slow, does not need the answer.
            drop(timeout(ASKING_TIME_MAX, answered).await);
            drop(place);
        });
    }
}

/// The path that is asked for, once the head of the request is complete.
async fn path(stream: &mut TcpStream) -> Result<String, Answer> {
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            return Err(Answer::bad(400, "Bad Request"));
        }
        head.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if head.len() > HEAD_BYTES_MAX {
            return Err(Answer::bad(431, "Request Header Fields Too Large"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("GET"), Some(path), Some(version)) if version.starts_with("HTTP/1.") => {
            Ok(path.split('?').next().unwrap_or_default().to_owned())
        }
        (Some(_), Some(_), Some(version)) if version.starts_with("HTTP/1.") => {
            Err(Answer::bad(405, "Method Not Allowed"))
        }
        _ => Err(Answer::bad(400, "Bad Request")),
    }
}

/// Who may ask at once. Count, default 8: a monitoring program is one.
const ASKING_MAX: usize = 8;
/// How long asking and being answered may take. Seconds, default 5.
const ASKING_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a request's head, default 4 KiB: a browser's is 1 KiB.
const HEAD_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::task::JoinHandle;

    use super::*;

    async fn start() -> (JoinHandle<()>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        (tokio::spawn(serve(listener, |path| Answer::ok(format!("you asked for {path}")))), address)
    }

    async fn ask(request: &[u8]) -> String {
        let (server, address) = start().await;
        let answer = ask_at(address, request).await;
        server.abort();
        String::from_utf8(answer).expect("text")
    }

    async fn ask_at(address: SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        // A server that has refused may reset what it did not read.
        drop(stream.write_all(request).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        answer
    }

    #[tokio::test]
    async fn one_get_is_answered_with_its_length() {
        let answer = ask(b"GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Length: 22\r\n"), "{head}");
        assert_eq!(body, "you asked for /metrics");
    }

    #[tokio::test]
    async fn what_is_no_get_is_refused() {
        assert!(ask(b"POST / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(b"\x16\x03\x01\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        assert!(ask(b"GET / HTTP/1.1\r\n").await.starts_with("HTTP/1.1 400 "), "it never ended");
        assert!(ask(&[b'a'; HEAD_BYTES_MAX + 1]).await.starts_with("HTTP/1.1 431 "));
    }
    #[tokio::test]
    async fn random_and_damaged_heads_are_answered_or_refused_and_the_next_is_answered_as_ever() {
        const GOOD: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n";
        let seed = 7;
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let (server, address) = start().await;
        let (mut done, mut refused) = (0, 0);
        for case in 0..300 {
            let mut head: Vec<u8> = match case % 3 {
                0 => (0..random.random_range(0..200)).map(|_| random.random()).collect(),
                1 => GOOD.repeat(random.random_range(1..200)),
                _ => GOOD.to_vec(),
            };
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..=head.len());
                match random.random_range(0..3) {
                    0 => head.insert(at, random.random()),
                    1 => head.truncate(at),
                    _ => head.splice(at..at, b"\r\n ".iter().copied()).for_each(drop),
                }
            }
            let answer = String::from_utf8_lossy(&ask_at(address, &head).await).into_owned();
            let known = ["200", "400", "405", "431"]
                .iter()
                .any(|status| answer.strip_prefix("HTTP/1.1 ").is_some_and(|rest| rest.starts_with(status)));
            assert!(known || answer.is_empty(), "case {case}: {answer} to {head:?}");
            done += u32::from(answer.starts_with("HTTP/1.1 200 "));
            refused += u32::from(answer.starts_with("HTTP/1.1 4"));
        }
        assert!(done > 30 && refused > 30, "{done} answered, {refused} refused");
        assert!(ask_at(address, GOOD).await.starts_with(b"HTTP/1.1 200 OK\r\n"));
        server.abort();
    }
}
