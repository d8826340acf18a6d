//! Why a stream or a connection between node and coordinator was closed, as the number that QUIC carries.

use crate::wire::codec::CodecError;

/// Why a stream was reset, or a connection closed. The number of each is part of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A frame announced more than is allowed.
    #[error("frame too long")]
    TooLong,
    /// The stream ended inside a frame, or a frame inside a value.
    #[error("message truncated")]
    Truncated,
    /// A frame went on after its message.
    #[error("bytes after the end of the message")]
    TrailingBytes,
    /// A variant, length or value that this version does not know.
    #[error("unknown variant or value out of bounds")]
    Malformed,
    /// A message in a place where the wire has none such.
    #[error("message out of place")]
    OutOfPlace,
    /// The frame did not arrive in time.
    #[error("no complete frame in time")]
    TooSlow,
    /// The same device connected anew.
    #[error("replaced by a newer connection of this device")]
    Replaced,
    /// The other side is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The device speaks for its account no more.
    #[error("this device was revoked, or its account deleted, on another device")]
    Revoked,
}

impl Fault {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::TooLong => 1,
            Self::Truncated => 2,
            Self::TrailingBytes => 3,
            Self::Malformed => 4,
            Self::OutOfPlace => 5,
            Self::TooSlow => 6,
            Self::Replaced => 7,
            Self::ShuttingDown => 8,
            Self::Revoked => 9,
        }
    }

    /// The fault of that number, if this version knows it.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        const ALL: [Fault; 9] = [
            Fault::TooLong,
            Fault::Truncated,
            Fault::TrailingBytes,
            Fault::Malformed,
            Fault::OutOfPlace,
            Fault::TooSlow,
            Fault::Replaced,
            Fault::ShuttingDown,
            Fault::Revoked,
        ];
        ALL.into_iter().find(|fault| u64::from(fault.code()) == code)
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLong { .. } => Self::TooLong,
            CodecError::Truncated => Self::Truncated,
            CodecError::TrailingBytes(_) => Self::TrailingBytes,
            CodecError::Malformed => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_number() {
        for code in 1..=9 {
            assert_eq!(Fault::from_code(code).map(|fault| u64::from(fault.code())), Some(code));
        }
        assert_eq!(Fault::from_code(0), None);
        assert_eq!(Fault::from_code(10), None);
    }
}
