//! How nodes learn at once that a server was killed and started again: a packet of a connection that this
//! process does not know is answered with a stateless reset (RFC 9000, section 10.3). The node believes it
//! because the token in it follows from the server's key, which outlives the process; without it, the node
//! would wait for its idle timeout.

use std::{sync::Arc, time::Duration};

use jamsync_protocol::identity::DeviceSecret;
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig,
    crypto::{CryptoError, HmacKey},
};
use rand::RngCore;

/// The endpoint's settings, with a reset key that follows from `secret`.
pub(super) fn endpoint_config(secret: &DeviceSecret) -> EndpointConfig {
    let key = ResetKey(blake3::derive_key("jamsync 2026 stateless reset v1", &secret.seed()));
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL_LEAST);
    config
}

struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let hash = blake3::keyed_hash(&self.0, data);
        signature_out.iter_mut().zip(hash.as_bytes()).for_each(|(out, byte)| *out = *byte);
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Comparing with a hash takes the same time for any signature.
        if blake3::keyed_hash(&self.0, data) == *signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Ids without a mark of this process, because a marked id of the process before would go unanswered.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        rand::rng().fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

const ID_BYTES: usize = 8;
/// Resets are no more frequent than this. Microseconds, 50 to 20,000, default 200: 5,000 a second, of which the nodes of a
/// server that was started again need one each as their keep-alives come in, within 15 s. More seldom leaves thousands to their
/// idle timeout; more often answers more forged packets, each with fewer bytes than it had.
const RESET_INTERVAL_LEAST: Duration = Duration::from_micros(200);
