//! Who may connect at the moment, and what to tell them.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use jamsync_protocol::{
    id::{DeviceKey, JamId},
    wire::peer::Hello,
};

use crate::net::tls::ExpectedKeys;

/// The keys of peers that hold a grant, each with our hello for it.
#[derive(Debug, Default)]
pub(super) struct ExpectedPeers {
    hellos: RwLock<HashMap<DeviceKey, Hello>>,
}

impl ExpectedPeers {
    pub(super) fn expect(&self, key: DeviceKey, hello: Hello) {
        self.hellos.write().unwrap_or_else(PoisonError::into_inner).insert(key, hello);
    }

    pub(super) fn forget(&self, jam: JamId) {
        self.hellos.write().unwrap_or_else(PoisonError::into_inner).retain(|_, hello| hello.jam != jam);
    }

    pub(super) fn hello_for(&self, key: &DeviceKey) -> Option<Hello> {
        self.hellos.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hellos.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl ExpectedKeys for ExpectedPeers {
    fn is_expected(&self, key: &DeviceKey) -> bool {
        self.hellos.read().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }
}
