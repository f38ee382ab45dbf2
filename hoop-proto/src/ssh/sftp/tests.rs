use bytes::{BufMut, BytesMut};

use super::*;

fn packet(kind: u8, body: &[u8]) -> Bytes {
    let mut packet = BytesMut::new();
    packet.put_u32(u32::try_from(body.len() + 1).expect("a short one"));
    packet.put_u8(kind);
    packet.put_slice(body);
    packet.freeze()
}

fn request(kind: u8, body: &[u8]) -> Result<Request, SftpError> {
    let mut requests = Requests::default();
    requests.receive(packet(kind, body));
    match requests.part()?.expect("all of it is there") {
        Part::Packet { packet, .. } => Ok(packet),
        Part::Data { .. } => panic!("nothing stands before it"),
    }
}

#[test]
fn the_bytes_of_files_are_not_put_together() {
    let head = b"\0\0\0\x1a\x06\0\0\0\x07\0\0\0\x01h\0\0\0\0\0\0\0\x09\0\0\0\x04";
    let mut requests = Requests::default();
    requests.receive(Bytes::from_static(head));
    let Ok(Some(Part::Packet { id: 7, packet: Request::Write { offset: 9, length: 4, .. }, bytes })) = requests.part()
    else {
        panic!("the head is enough")
    };
    assert_eq!(bytes, &head[..]);
    assert_eq!(requests.part(), Ok(None));
    for (piece, left) in [(&b"abc"[..], 1), (b"d", 0)] {
        requests.receive(Bytes::from_static(piece));
        assert_eq!(requests.part(), Ok(Some(Part::Data { bytes: Bytes::from_static(piece), left })));
    }
    requests.receive(Bytes::from_static(b"\0\0\0\x05\x01\0\0\0\x03"));
    assert!(matches!(requests.part(), Ok(Some(Part::Packet { packet: Request::Init { version: 3 }, .. }))));
}

#[test]
fn lengths_that_cannot_be_are_refused_by_the_head() {
    for length in [0, 4, MAX_PACKET as u32 + 1, u32::MAX] {
        let mut requests = Requests::default();
        requests.receive([&length.to_be_bytes()[..], b"\x0d"].concat().into());
        assert_eq!(requests.part(), Err(SftpError::Length { kind: 13, length }));
    }
    let long = |length: usize| [&b"\0\0\0\x01"[..], &(length as u32).to_be_bytes(), &vec![b'a'; length]].concat();
    assert!(request(13, &long(MAX_PATH)).is_ok() && request(13, &long(MAX_PATH + 1)).is_err());
    assert!(request(4, &long(MAX_HANDLE)).is_ok() && request(4, &long(MAX_HANDLE + 1)).is_err());
}

#[test]
fn what_is_carried_is_as_long_as_the_packet_says() {
    for body in [
        &b"\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\0\0\0\x05hi"[..],
        b"\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\0\0\0\x01hi",
        b"\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\xff\xff\xff\xffhi",
        b"\0\0\0\x01\xff\xff\xff\xffh",
    ] {
        assert!(matches!(request(6, body), Err(SftpError::Malformed { kind: 6, .. })), "{body:?}");
    }
    assert!(request(13, b"\0\0\0\x01\0\0\0\x02a\0").is_err(), "a zero in a path");
    assert!(request(13, b"\0\0\0\x01\0\0\0\x01ab").is_err(), "something behind the path");
    assert!(request(99, b"\0\0\0\x01").is_err(), "no such request");
    assert!(request(3, b"\0\0\0\x01\0\0\0\x01a\0\0\0\x01\0\0\0\x10").is_err(), "attributes of a later version");
}

#[test]
fn extensions_are_known_by_name() {
    let extended = |name: &str, rest: &[u8]| {
        let length = u32::try_from(name.len()).expect("a short one").to_be_bytes();
        request(200, &[&b"\0\0\0\x01"[..], &length, name.as_bytes(), rest].concat())
    };
    let (from, to) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    assert_eq!(
        extended("posix-rename@openssh.com", b"\0\0\0\x01a\0\0\0\x01b"),
        Ok(Request::PosixRename { from: from.clone(), to: to.clone() })
    );
    assert_eq!(extended("hardlink@openssh.com", b"\0\0\0\x01a\0\0\0\x01b"), Ok(Request::Hardlink { from, to }));
    assert!(matches!(extended("limits@openssh.com", b""), Ok(Request::Limits)));
    assert!(extended("limits@openssh.com", b"x").is_err());
    assert!(matches!(extended("check-file", b"anything"), Ok(Request::Unknown { name }) if name == "check-file"));
}

#[test]
fn a_status_is_written_as_it_is_read() {
    let mut replies = Replies::default();
    replies.receive(write_status(9, Status::PERMISSION_DENIED, "no"));
    let Ok(Some(Part::Packet { id: 9, packet, .. })) = replies.part() else { panic!("a packet") };
    assert_eq!(packet, Reply::Status { status: Status::PERMISSION_DENIED, message: Bytes::from_static(b"no") });
    replies.receive(Bytes::from_static(b"\0\0\0\x09\x65\0\0\0\x01\0\0\0\0"));
    assert!(matches!(replies.part(), Ok(Some(Part::Packet { packet: Reply::Status { status: Status::OK, .. }, .. }))));
}

#[test]
fn flags_say_whether_a_file_begins_empty() {
    assert!(OpenFlags(0x1a).begins_empty() && OpenFlags(0x2a).begins_empty());
    assert!(!OpenFlags(0x0a).begins_empty() && !OpenFlags(0x22).begins_empty());
    assert!(OpenFlags(0x10).writes() && OpenFlags(8).writes() && !OpenFlags(1).writes() && OpenFlags(3).reads());
}
