//! Several devices of one account at the coordinator: added, named, cut off.

use jamsync_protocol::{
    identity::{CodeToken, SignedEntry, Vouch, device_code::CodeSecret},
    wire::coord::{DEVICES_MAX, Device, DeviceName},
};

use super::*;

const CODE: CodeSecret = CodeSecret([0x0c; 16]);

impl Person {
    fn key(&self) -> jamsync_protocol::id::DeviceKey {
        self.secret.public()
    }

    async fn device_code(&self) -> CodeToken {
        match self.ask(CoordRequest::MakeDeviceCode).await {
            Ok(CoordReply::DeviceCode { token, expires }) => {
                assert_eq!(expires - NOW, Span::from_secs(600));
                token
            }
            other => panic!("no device code: {other:?}"),
        }
    }

    /// Asks to become a device of `account` with a code of it.
    async fn ask_to_join(&self, log: &VerifiedLog, token: CodeToken) -> Result<CoordReply, LinkError> {
        let consent = log.consent(&self.secret);
        let code_proof = CODE.prove(log.account(), self.key());
        self.ask(CoordRequest::AskToJoin { token, consent, code_proof, name: name("laptop") }).await
    }

    async fn extend(&self, log: &VerifiedLog, called: &str) -> Result<CoordReply, LinkError> {
        let entry = log.newest().expect("an entry").clone();
        self.ask(CoordRequest::ExtendLog { account: log.account(), entry, name: name(called) }).await
    }

    async fn devices(&self) -> Vec<Device> {
        match self.ask(CoordRequest::Devices).await {
            Ok(CoordReply::Devices(devices)) => devices.into_vec(),
            other => panic!("no devices: {other:?}"),
        }
    }

    /// The next entry of the log of whoever it is.
    async fn grown(&mut self) -> SignedEntry {
        let event = self.event().await;
        let CoordEvent::DeviceLogGrew { entry, .. } = event else { panic!("no entry: {event:?}") };
        entry
    }
}

fn name(name: &str) -> DeviceName {
    Text::new(name).expect("short")
}

/// A second device, added by the first with a code as nodes do it. Both know the log then.
async fn second_device(world: &World, first: &mut Person, seed: u8) -> Person {
    let mut second = world.person(seed).await;
    let token = first.device_code().await;
    let Ok(CoordReply::Log(log)) = second.ask(CoordRequest::LookUpLog { account: first.log.account() }).await
    else {
        panic!("no log")
    };
    let log = log.verify().expect("a log");
    assert_eq!(log, first.log);
    assert_eq!(second.ask_to_join(&log, token).await, Ok(CoordReply::Done));
    let CoordEvent::DeviceAsks { token: same, device, consent, code_proof, name } = first.event().await
    else {
        panic!("nobody asks")
    };
    assert_eq!((same, device, name.as_str()), (token, second.key(), "laptop"));
    CODE.check(code_proof, log.account(), device).expect("it was given the code");
    first.log.add(&first.secret, device, consent).expect("it agreed");
    assert_eq!(first.extend(&first.log, "laptop").await, Ok(CoordReply::Done));
    second.log = first.log.clone();
    assert_eq!(second.grown().await, *first.log.newest().expect("two entries"));
    second
}

async fn is_cut_off(person: &mut Person) {
    loop {
        match person.next().await {
            LinkEvent::Unreachable { reason } => {
                assert_eq!(reason, Fault::Revoked.to_string());
                return;
            }
            LinkEvent::Event(_)
            | LinkEvent::Missed
            | LinkEvent::OutOfOrder
            | LinkEvent::Activity(_)
            | LinkEvent::Connected { .. } => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_given_a_code_is_added_and_friends_learn_of_it() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let laptop = second_device(&world, &mut ana, 11).await;
    assert_eq!(ben.grown().await, *ana.log.newest().expect("two entries"));
    let Ok(CoordReply::Me(me)) = laptop.ask(CoordRequest::WhoAmI).await else { panic!("not in") };
    assert_eq!((me.handle.as_str(), me.account), ("ana", ana.log.account()));
    let known = ben.contacts().await;
    assert_eq!(&known[0].log, ana.log.as_log());
    let names: Vec<_> =
        laptop.devices().await.into_iter().map(|known| (known.device, known.online)).collect();
    assert!(names.contains(&(ana.key(), true)) && names.contains(&(laptop.key(), true)), "{names:?}");

    // Named from the other one; a stranger's device is none of theirs.
    let rename = |device| CoordRequest::RenameDevice { device, name: name("kitchen") };
    assert_eq!(ana.ask(rename(laptop.key())).await, Ok(CoordReply::Done));
    assert_eq!(refusal(ana.ask(rename(ben.key())).await), Refusal::UnknownDevice);
    let renamed = laptop.devices().await;
    assert!(renamed.iter().any(|known| known.device == laptop.key() && known.name.as_str() == "kitchen"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_admits_for_ten_minutes_and_asks_no_other_device() {
    let world = World::start().await;
    let ana = world.signed_up(1, "ana").await;
    let ben = world.signed_up(2, "ben").await;
    let late = world.person(11).await;
    let token = ana.device_code().await;
    let unknown = late.ask_to_join(&ana.log, CodeToken([9; 16])).await;
    assert_eq!(refusal(unknown), Refusal::UnknownCode);
    let taken = ben.ask_to_join(&ana.log, token).await;
    assert_eq!(refusal(taken), Refusal::AlreadySignedUp { handle: handle("ben") });
    let nobodys = late.ask(CoordRequest::LookUpLog { account: late.log.account() }).await;
    assert_eq!(refusal(nobodys), Refusal::UnknownCode);
    for _ in 0..4 {
        ana.device_code().await;
    }
    let retry_after = Span::from_secs(600);
    assert_eq!(refusal(ana.ask(CoordRequest::MakeDeviceCode).await), Refusal::TooMany { retry_after });
    for _ in 0..16 {
        late.ask_to_join(&ana.log, token).await.expect("asked");
    }
    assert_eq!(refusal(late.ask_to_join(&ana.log, token).await), Refusal::UnknownCode, "not without end");
    let token = {
        world.env.advance(Span::from_secs(600));
        match ana.ask(CoordRequest::MakeDeviceCode).await {
            Ok(CoordReply::DeviceCode { token, .. }) => token,
            other => panic!("no device code: {other:?}"),
        }
    };
    world.env.advance(Span::from_secs(600));
    assert_eq!(refusal(late.ask_to_join(&ana.log, token).await), Refusal::UnknownCode);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_cut_off_at_once_and_stays_out() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let mut laptop = second_device(&world, &mut ana, 11).await;
    ben.grown().await;
    // The laptop is in a Jam with Ben, and has asked nobody else.
    let request = laptop.request_jam("ben").await.expect("asked");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    ben.answer(request, Answer::Accept).await.expect("accepted");
    let (grant, _) = ben.granted().await;
    let jam = grant.verify(world.server.key(), NOW, &[&ana.log, &ben.log]).expect("a grant").jam;

    // The coordinator's time stands still from here on: nothing waits for a timer.
    ana.log.revoke(&ana.secret, laptop.key()).expect("an active device");
    assert_eq!(ana.extend(&ana.log, "").await, Ok(CoordReply::Done));
    is_cut_off(&mut laptop).await;
    // Whoever is in a Jam with it learns of the entry first, then of the end.
    let entry = ben.grown().await;
    ben.log = ana.log.clone();
    assert_eq!(entry, *ana.log.newest().expect("three entries"));
    assert!(grant.verify(world.server.key(), NOW, &[&ana.log, &ben.log]).is_err());
    assert_eq!(ben.event().await, CoordEvent::JamEnded { jam, by: ana.log.account() });

    // It comes back, with a key that still proves itself, and is shown the door each time, also by the next server.
    let still_out = world.store.read({
        let key = laptop.key();
        move |view| view.account_by_device(key)
    });
    assert_eq!(still_out.await.expect("reads"), None);
    assert_eq!(ana.devices().await.len(), 1);
    let world = world.restart().await;
    let revoked = world.store.read({
        let key = laptop.key();
        move |view| view.device(key)
    });
    assert!(revoked.await.expect("reads").expect("a row").revoked);
    laptop.link.hurry();
    let outcome = laptop.ask(CoordRequest::WhoAmI).await;
    assert!(
        matches!(&outcome, Err(LinkError::Unreachable { reason }) if reason.contains("revoked")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_not_a_devices_own_are_refused() {
    let world = World::start().await;
    let mut ana = world.signed_up(1, "ana").await;
    let ben = world.signed_up(2, "ben").await;
    let entry = |log: &VerifiedLog| log.newest().expect("an entry").clone();
    let extend = |log: &VerifiedLog| CoordRequest::ExtendLog {
        account: ana.log.account(),
        entry: entry(log),
        name: name(""),
    };
    // Of another log, of nobody, and one whose device is already somebody else's.
    assert_eq!(refusal(ben.ask(extend(&ben.log)).await), Refusal::LogMoved);
    let mut taken = ana.log.clone();
    let consent = taken.consent(&ben.secret);
    taken.add(&ana.secret, ben.key(), consent).expect("he agrees");
    assert_eq!(refusal(ana.ask(extend(&taken)).await), Refusal::BadLog);
    let stolen = ana.log.clone();
    let mut foreign = stolen.clone();
    let newcomer = DeviceSecret::from_seed(&[21; 32]);
    let consent = foreign.consent(&newcomer);
    foreign.add(&ana.secret, newcomer.public(), consent).expect("she adds it");
    // Signed as it should be, but brought by somebody whom it does not concern.
    assert_eq!(refusal(ben.ask(extend(&foreign)).await), Refusal::BadLog);
    // Two devices write at the same place: one is first.
    assert_eq!(ana.ask(extend(&foreign)).await, Ok(CoordReply::Done));
    let mut other = stolen;
    let consent = other.consent(&DeviceSecret::from_seed(&[22; 32]));
    other.add(&ana.secret, DeviceSecret::from_seed(&[22; 32]).public(), consent).expect("she adds it");
    assert_eq!(refusal(ana.ask(extend(&other)).await), Refusal::LogMoved);

    ana.log = foreign;
    for seed in 30.. {
        let device = DeviceSecret::from_seed(&[seed; 32]);
        let mut log = ana.log.clone();
        let consent = log.consent(&device);
        log.add(&ana.secret, device.public(), consent).expect("room in the log");
        let outcome = ana.extend(&log, "one more").await;
        if ana.log.devices().len() == DEVICES_MAX {
            assert_eq!(refusal(outcome), Refusal::TooManyDevices { limit: 6 });
            break;
        }
        assert_eq!(outcome, Ok(CoordReply::Done));
        ana.log = log;
    }
    assert_eq!(ana.devices().await.len(), DEVICES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_key_brings_a_device_in_and_can_do_nothing_else() {
    let world = World::start().await;
    let mut ana = world.signed_up(1, "ana").await;
    let paper = DeviceSecret::from_seed(&[40; 32]);
    ana.log.add_recovery(&ana.secret, &paper).expect("a new key");
    assert_eq!(ana.extend(&ana.log, "").await, Ok(CoordReply::Done));
    assert_eq!(ana.devices().await.len(), 1, "it is no device");
    // A connection that shows the recovery key is a stranger's.
    let thief = world.person(40).await;
    assert_eq!(refusal(thief.ask(CoordRequest::WhoAmI).await), Refusal::NotSignedUp);
    let newcomer = world.person(11).await;
    let mut log = ana.log.clone();
    let consent = log.consent(&newcomer.secret);
    log.add(&paper, newcomer.key(), consent).expect("it may add a device");
    assert_eq!(newcomer.extend(&log, "new").await, Ok(CoordReply::Done));
    let Ok(CoordReply::Me(me)) = newcomer.ask(CoordRequest::WhoAmI).await else { panic!("not in") };
    assert_eq!((me.account, &me.log), (ana.log.account(), log.as_log()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_vouches_for_reaches_the_others() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let mut laptop = second_device(&world, &mut ana, 11).await;
    ben.grown().await;
    let word = |by: &Person, of: &VerifiedLog| {
        Vouch::signed_by(&by.secret, ana.log.account(), handle("ben"), of.pin())
    };
    let vouch = word(&ana, &ben.log);
    let tell = |vouch: &Vouch| CoordRequest::VouchForContact { vouch: vouch.clone() };
    assert_eq!(ana.ask(tell(&vouch)).await, Ok(CoordReply::Done));
    let CoordEvent::ContactChanged(contact) = laptop.event().await else { panic!("no contact") };
    assert_eq!(contact.vouch.as_deref(), Some(&vouch));
    vouch.verify(&laptop.log).expect("a device of the account said so");
    assert_eq!(laptop.contacts().await[0].vouch.as_deref(), Some(&vouch));

    // In the name of another device, of another account, and about somebody who is no contact.
    assert_eq!(refusal(laptop.ask(tell(&vouch)).await), Refusal::BadLog);
    assert_eq!(refusal(ben.ask(tell(&word(&ben, &ana.log))).await), Refusal::BadLog);
    let stranger = DeviceLog::found(&DeviceSecret::from_seed(&[50; 32]), [50; 16]);
    let about = refusal(ana.ask(tell(&word(&ana, &stranger))).await);
    assert_eq!(about, Refusal::NotContact { handle: handle("ben") });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_every_device_and_is_answered_on_one() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let mut laptop = second_device(&world, &mut ana, 11).await;
    ben.grown().await;
    let mut phone = second_device(&world, &mut ben, 12).await;
    ana.grown().await;
    laptop.grown().await;
    let request = laptop.request_jam("ben").await.expect("asked");
    for device in [&mut ana, &mut ben, &mut phone] {
        let CoordEvent::JamRequested(open) = device.event().await else { panic!("not told") };
        assert_eq!(open.request, request);
    }
    assert_eq!(phone.answer(request, Answer::Accept).await, Ok(CoordReply::Done));
    let late = ben.answer(request, Answer::Accept).await;
    assert_eq!(refusal(late), Refusal::RequestOver(RequestEnd::Accepted));
    let (grant, introduction) = laptop.granted().await;
    assert_eq!(introduction.peer, phone.key());
    let logs = [&ana.log, &phone.log];
    let grant = grant.verify(world.server.key(), NOW, &logs).expect("a grant");
    assert_eq!(grant.participants[0].device, phone.key(), "who accepted is the host");
    assert!(matches!(phone.event().await, CoordEvent::JamGranted { .. }));
    let over = CoordEvent::RequestAnswered { request, end: RequestEnd::Accepted };
    assert_eq!((ana.event().await, ben.event().await), (over.clone(), over), "the others stop ringing");
}
