//! Key packages: what lets others add a device to a conversation while it is away. Each is handed out once, so that no two
//! conversations begin with the same keys; one that may be handed out again is kept for when none is left.

use jamsync_protocol::{
    conversation::KEY_PACKAGES_PER_CALL_MAX,
    id::DeviceKey,
    text::List,
    wire::coord::{CoordReply, KeyPackage, Refusal, TakenPackage},
};

use super::{Act, Outcome};
use crate::store::StoreError;

/// How many key packages are kept of a device. Count, default 100: fewer run out while it is away, more fill the disk.
const KEPT_MAX: u32 = 100;

impl Act<'_> {
    pub(super) fn publish_key_packages(
        &mut self,
        packages: &[KeyPackage],
        last_resort: Option<&KeyPackage>,
        anew: bool,
    ) -> Outcome {
        self.me()?;
        let device = self.context.device;
        if anew {
            self.tables.drop_key_packages(device)?;
        }
        if let Some(last_resort) = last_resort {
            self.tables.put_last_resort(device, last_resort)?;
        }
        let mut left = self.tables.key_packages_left(device)?;
        for package in packages {
            if left >= KEPT_MAX {
                break;
            }
            self.tables.add_key_package(device, package)?;
            left += 1;
        }
        Ok(CoordReply::KeyPackages { left: u16::try_from(left).unwrap_or(u16::MAX) })
    }

    pub(super) fn take_key_packages(&mut self, devices: &[DeviceKey]) -> Outcome {
        let me = self.me()?;
        let mut taken: Vec<TakenPackage> = Vec::new();
        for device in devices {
            let owner = self.tables.account_by_device(*device)?;
            if owner.as_ref().is_none_or(|owner| owner.id != me.id) {
                self.check_member(&me, owner.as_ref(), Refusal::UnknownDevice)?;
            }
            if taken.iter().any(|package| package.device == *device) {
                continue;
            }
            let package = if self.context.spared.contains(device) {
                self.tables.last_resort(*device)?
            } else {
                self.tables.take_key_package(*device)?
            };
            if let Some(package) = package {
                taken.push(TakenPackage { device: *device, package });
            }
        }
        let taken = List::<_, { KEY_PACKAGES_PER_CALL_MAX }>::new(taken);
        Ok(CoordReply::TakenPackages(taken.map_err(|_| StoreError::Corrupt("key package"))?))
    }
}
