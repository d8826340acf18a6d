//! One JSON value per line, bounded in both directions.

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// A line that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The other side closed, or the socket failed.
    #[error("the connection ended: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than it may be; nothing after it can be trusted to begin a line.
    #[error("a line of more than {limit} bytes")]
    TooLong {
        /// How long it may be.
        limit: usize,
    },
    /// The connection ended in the middle of a line.
    #[error("the connection ended within a line")]
    Half,
    /// Not the JSON that was expected.
    #[error("not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// `value` as one line, its line feed included. Characters that could steer a terminal are written as `\u` escapes,
/// so that the line is safe to look at and still says exactly what it says.
///
/// # Errors
/// Where `value` has no JSON form, such as a map whose keys are not text.
pub fn encode<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let mut line = String::with_capacity(json.len() + 1);
    let mut units = [0u16; 2];
    for character in json.chars() {
        let mut utf8 = [0u8; 4];
        let text: &str = character.encode_utf8(&mut utf8);
        // Outside of strings JSON is plain ASCII, so this only ever touches the inside of a string.
        if jamsync_protocol::text::printable(text) == text {
            line.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    line.push('\n');
    Ok(line)
}

/// Writes one line.
pub(super) async fn write<W, T>(writer: &mut W, value: &T) -> Result<(), LineError>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    let line = encode(value)?;
    writer.write_all(line.as_bytes()).await?;
    Ok(writer.flush().await?)
}

/// Reads one line of at most `limit` bytes, or `None` where the other side closed between two lines.
///
/// `buffer` keeps what was read of a line when the future is dropped, so that reading may be one branch of a
/// `select!`.
pub(super) async fn read<R, T>(
    reader: &mut R,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<T>, LineError>
where
    R: AsyncBufRead + Unpin,
    T: DeserializeOwned,
{
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return if buffer.is_empty() { Ok(None) } else { Err(LineError::Half) };
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        if buffer.len() + taken > limit {
            return Err(LineError::TooLong { limit });
        }
        buffer.extend_from_slice(chunk.get(..taken).unwrap_or(chunk));
        reader.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            let value = serde_json::from_slice(buffer);
            buffer.clear();
            return Ok(Some(value?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(input: &[u8], limit: usize) -> Vec<Result<Option<u32>, String>> {
        let mut reader = tokio::io::BufReader::with_capacity(3, input);
        let mut buffer = Vec::new();
        let mut results = Vec::new();
        loop {
            let result = read(&mut reader, &mut buffer, limit).await.map_err(|error| error.to_string());
            let over = matches!(&result, Ok(None)) || results.len() > 20;
            let fatal = matches!(&result, Err(error) if !error.starts_with("not understood"));
            results.push(result);
            if over || fatal {
                return results;
            }
        }
    }

    #[tokio::test]
    async fn rubbish_between_lines_costs_only_its_own_line() {
        let results = read_all(b"1\n{\xff\n\n22\n", 100).await;
        assert_eq!(results[0], Ok(Some(1)));
        assert!(results[1].is_err() && results[2].is_err());
        assert_eq!(results[3..], [Ok(Some(22)), Ok(None)]);
    }

    #[tokio::test]
    async fn a_line_longer_than_the_limit_is_refused_without_being_kept() {
        assert_eq!(read_all(b"12345\n", 5).await[0], Ok(Some(12_345)));
        assert_eq!(read_all(b"123456\n", 5).await, [Err("a line of more than 5 bytes".to_owned())]);
    }

    #[tokio::test]
    async fn half_a_line_is_never_taken_for_a_whole_one() {
        assert_eq!(read_all(b"12", 5).await, [Err("the connection ended within a line".to_owned())]);
    }

    #[test]
    fn a_line_is_safe_to_look_at_and_means_the_same() {
        let wild = "a\u{9b}2J\u{202e}\u{1b}[0m\u{7f}ñ";
        let line = encode(&wild).expect("encodes");
        assert_eq!(line, "\"a\\u009b2J\\u202e\\u001b[0m\\u007fñ\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).expect("decodes"), wild);
    }
}
