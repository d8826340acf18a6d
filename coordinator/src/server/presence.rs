//! Which devices are connected to this process, where they may be reached, and how to wake the task that sends
//! them events.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::{
    id::DeviceKey,
    wire::coord::{CoordEvent, Fault},
};
use tokio::sync::Notify;

use super::passing::{Frame, Passing, frame_of};
use crate::{rules::Written, store::Whereabouts};

/// The connected devices.
#[derive(Debug, Default)]
pub(super) struct Presence {
    devices: Mutex<HashMap<DeviceKey, Online>>,
}

/// One connected device.
#[derive(Debug)]
struct Online {
    connection: quinn::Connection,
    told: Vec<SocketAddr>,
    wake: Arc<Notify>,
    /// Whether it was known to speak for an account when this was looked at last.
    speaks: bool,
    /// Whether there may be events among the rows that its stream has not looked for.
    due: bool,
    passing: Passing,
}

/// What the rows say of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It speaks for an account.
    Speaks,
    /// It did, and was revoked.
    Revoked,
    /// There is no such device.
    Unknown,
}

impl Presence {
    /// Notes a connection, closes an older one of the same device, and returns what is notified when there are
    /// new events for it.
    pub(super) fn arrive(&self, device: DeviceKey, connection: &quinn::Connection) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let online = Online {
            connection: connection.clone(),
            told: Vec::new(),
            wake: Arc::clone(&wake),
            speaks: false,
            due: true,
            passing: Passing::default(),
        };
        if let Some(older) = self.lock().insert(device, online) {
            close(&older.connection, Fault::Replaced);
        }
        wake
    }

    /// Forgets a connection, unless a newer one of the same device has taken its place.
    pub(super) fn leave(&self, device: DeviceKey, connection: &quinn::Connection) {
        let mut devices = self.lock();
        let is_this = |online: &Online| online.connection.stable_id() == connection.stable_id();
        if devices.get(&device).is_some_and(is_this) {
            devices.remove(&device);
        }
    }

    /// Notes the addresses that a device tells of itself. Such as no peer could dial are left out.
    pub(super) fn tell(&self, device: DeviceKey, addresses: &[SocketAddr]) {
        if let Some(online) = self.lock().get_mut(&device) {
            online.told = addresses.iter().copied().map(canonical).filter(is_dialable).collect();
        }
    }

    /// Wakes the event streams of these devices, for which there are events among the rows.
    pub(super) fn wake(&self, devices: &[DeviceKey]) {
        let mut online = self.lock();
        for device in devices {
            if let Some(online) = online.get_mut(device) {
                online.due = true;
                online.wake.notify_one();
            }
        }
    }

    /// Wakes every event stream.
    pub(super) fn wake_all(&self) {
        for online in self.lock().values_mut() {
            online.due = true;
            online.wake.notify_one();
        }
    }

    /// Tells those that are connected what was written in a conversation.
    pub(super) fn tell_written(&self, Written { conversation, entry, to }: Written) {
        let place = (conversation, entry.sequence);
        let frame = frame_of(CoordEvent::ConversationWritten { conversation, entry });
        let mut online = self.lock();
        for device in to {
            if let Some(online) = online.get_mut(&device) {
                online.passing.add(place, frame.as_ref());
                online.wake.notify_one();
            }
        }
    }

    /// Whether the event stream of a connection has to look among the rows. From then on it has not, until it is woken.
    pub(super) fn take_due(&self, device: DeviceKey, connection: &quinn::Connection) -> bool {
        self.with(device, connection, |online| std::mem::take(&mut online.due)).unwrap_or_default()
    }

    /// What the event stream of a connection sends next in passing.
    pub(super) fn take_passing(&self, device: DeviceKey, connection: &quinn::Connection) -> Option<Frame> {
        self.with(device, connection, |online| online.passing.take()).flatten()
    }

    /// Does something with a device, unless another connection of it has taken the place of this one.
    fn with<T>(
        &self,
        device: DeviceKey,
        connection: &quinn::Connection,
        work: impl FnOnce(&mut Online) -> T,
    ) -> Option<T> {
        let mut devices = self.lock();
        let online = devices.get_mut(&device)?;
        (online.connection.stable_id() == connection.stable_id()).then(|| work(online))
    }

    /// Notes whether a device speaks for an account.
    pub(super) fn note(&self, device: DeviceKey, speaks: bool) {
        if let Some(online) = self.lock().get_mut(&device) {
            online.speaks = speaks;
        }
    }

    /// Every connected device, with whether it was known to speak for an account.
    pub(super) fn connected(&self) -> Vec<(DeviceKey, bool)> {
        self.lock().iter().map(|(device, online)| (*device, online.speaks)).collect()
    }

    /// Holds the devices that were `connected` against what the rows said of them then, and cuts off those that speak for
    /// nobody any more. One that never signed up stays.
    pub(super) fn sort_out(&self, connected: &[(DeviceKey, bool, Standing)]) {
        let is_gone = |(device, spoke, standing): &(DeviceKey, bool, Standing)| match standing {
            Standing::Speaks => {
                self.note(*device, true);
                false
            }
            Standing::Revoked => true,
            // It may have deleted its account itself by now.
            Standing::Unknown => *spoke && self.lock().get(device).is_some_and(|online| online.speaks),
        };
        let gone: Vec<_> = connected.iter().filter(|one| is_gone(one)).map(|(device, ..)| *device).collect();
        self.cut_off(&gone);
    }

    /// Cuts off devices that speak for nobody any more.
    pub(super) fn cut_off(&self, devices: &[DeviceKey]) {
        let mut online = self.lock();
        for device in devices {
            if let Some(gone) = online.remove(device) {
                close(&gone.connection, Fault::Revoked);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceKey, Online>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whereabouts for Presence {
    fn is_online(&self, device: DeviceKey) -> bool {
        self.lock().contains_key(&device)
    }

    fn addresses(&self, device: DeviceKey) -> Vec<SocketAddr> {
        let devices = self.lock();
        let Some(online) = devices.get(&device) else { return Vec::new() };
        let mut addresses = vec![observed(&online.connection)];
        for told in &online.told {
            if !addresses.contains(told) {
                addresses.push(*told);
            }
        }
        addresses
    }
}

/// The address from which a connection arrives now; a change of the client's address shows here.
pub(super) fn observed(connection: &quinn::Connection) -> SocketAddr {
    canonical(connection.remote_address())
}

pub(super) fn close(connection: &quinn::Connection, fault: Fault) {
    connection.close(fault.code().into(), fault.to_string().as_bytes());
}

/// An IPv4 address that a dual-stack socket shows as IPv6, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_dialable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, std::net::IpAddr::V4(v4) if v4.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
