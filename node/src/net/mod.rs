//! The network side of a node: one UDP socket and one QUIC endpoint for everything, the link to the
//! coordinator, and connections to peers. It moves bytes and proves identities; what they mean is decided
//! elsewhere.

pub mod coordinator;
pub mod peer;
pub mod socket;
pub mod tls;
