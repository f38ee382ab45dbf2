//! Every decoder on any bytes: what came over the wire is a stranger's. See `checks.rs` for what is asserted.

#[allow(unreachable_pub, reason = "the fuzz targets are built from the same files")]
mod checks;
#[allow(unreachable_pub, reason = "the fuzz targets are built from the same files")]
mod seeds;

use bytes::{Bytes, BytesMut};
use checks::{CHECKS, cut};
use hoop_proto::postgres::startup::StartupMessage;
use hoop_proto::postgres::{HEADER, Header, startup, write_frame};
use proptest::prelude::*;
use seeds::seeds;

#[test]
fn whole_messages_are_read() {
    for (name, check) in CHECKS {
        for seed in seeds(name) {
            assert!(check(&seed), "{name}: {}", seed.escape_ascii());
        }
    }
}

#[test]
fn messages_cut_short_or_continued_anywhere_break_nothing() {
    for (name, check) in CHECKS {
        for seed in seeds(name) {
            for end in 0..seed.len() {
                check(&seed[..end]);
            }
            check(&[&seed[..], b"\0"].concat());
            check(&[&seed[..], &seed[..]].concat());
        }
    }
}

#[test]
fn every_byte_changed_to_every_other_breaks_nothing() {
    for (name, check) in CHECKS {
        for mut seed in seeds(name) {
            for at in 0..seed.len() {
                let byte = seed[at];
                for other in 0..=u8::MAX {
                    seed[at] = other;
                    check(&seed);
                }
                seed[at] = byte;
            }
        }
    }
}

#[test]
fn a_length_that_cannot_be_is_an_error_and_makes_no_room() {
    for length in [0, 3, 0x8000_0000, 0xffff_ffff_u32] {
        let bytes = [&b"Q"[..], &length.to_be_bytes()].concat();
        assert!(Header::peek(&bytes).is_err(), "{length:#x}");
    }
    let (frames, rest, error) = cut(b"Q\x7f\xff\xff\xff", [5]);
    assert!(frames.is_empty() && rest.is_empty() && error.is_some(), "a frame of 2 GiB is refused by its header");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, check) in CHECKS {
            check(&bytes);
        }
    }

    #[test]
    fn messages_damaged_in_some_places_break_nothing(
        which in 0..CHECKS.len(),
        seed in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), damage()), 1..6),
    ) {
        let (name, check) = CHECKS[which];
        let seeds = seeds(name);
        let mut bytes = seed.get(&seeds).clone();
        for (place, damage) in damage {
            damage.apply(&mut bytes, place);
        }
        check(&bytes);
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_frames(
        frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..400)), 0..20),
        tail in proptest::collection::vec(any::<u8>(), 0..HEADER),
        pieces in proptest::collection::vec(1_usize..600, 1..40),
    ) {
        let mut stream = BytesMut::new();
        let sent: Vec<Bytes> = frames.iter().map(|(tag, body)| {
            let start = stream.len();
            write_frame(&mut stream, *tag, |out| out.extend_from_slice(body));
            Bytes::copy_from_slice(&stream[start..])
        }).collect();
        stream.extend_from_slice(&tail);
        let (received, rest, error) = cut(&stream, pieces.iter().copied().cycle());
        prop_assert_eq!(received, sent);
        prop_assert_eq!(rest, tail);
        prop_assert_eq!(error, None);
    }

    #[test]
    fn startup_messages_read_back(
        protocol in prop_oneof![Just(startup::PROTOCOL_3_0), Just(startup::PROTOCOL_3_2)],
        parameters in proptest::collection::vec(("[^\0]{1,20}", "[^\0]{0,20}"), 0..8),
    ) {
        let parameters = parameters.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let message = StartupMessage { protocol, parameters };
        let mut out = BytesMut::new();
        message.write(&mut out);
        prop_assert_eq!(startup::parse(out.freeze()), Ok(startup::Startup::StartupMessage(message)));
    }
}

/// What happens to a message in one place.
#[derive(Debug, Clone)]
enum Damage {
    Change(u8),
    Insert(u8),
    Remove,
    CutHere,
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<u8>().prop_map(Damage::Change),
        any::<u8>().prop_map(Damage::Insert),
        Just(Damage::Remove),
        Just(Damage::CutHere),
        Just(Damage::Repeat),
    ]
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>, place: prop::sample::Index) {
        if bytes.is_empty() {
            return;
        }
        let at = place.index(bytes.len());
        match self {
            Self::Change(byte) => bytes[at] = byte,
            Self::Insert(byte) => bytes.insert(at, byte),
            Self::Remove => drop(bytes.remove(at)),
            Self::CutHere => bytes.truncate(at),
            Self::Repeat => bytes.extend_from_within(at..),
        }
    }
}
