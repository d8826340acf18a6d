//! Messages and bytes: what nodes say to each other and to a coordinator, and how it is framed.
//!
//! Everything is postcard behind a length prefix on streams, and one message per datagram. Enums are
//! append-only: postcard writes a variant as its index and fields in order, so sorting them breaks every
//! peer. `docs/wire.md` is the normative description; golden files pin the bytes.

pub mod codec;
pub mod coord;
pub mod peer;
