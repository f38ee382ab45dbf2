//! Messages of WebSockets and gRPC calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hoop_proto::http::protobuf::{put_bytes, put_varint};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};

use super::*;

#[test]
fn messages_of_websockets_are_masked() {
    let session = Session::new("{}");
    let channel = session.ask(ExchangeKind::WebSocket);
    session.head(channel, 101, &[]).expect("a head");
    let shown = |kind, bytes: &[u8]| session.message(channel, kind, bytes).expect("a message");
    assert_eq!(shown(MessageKind::Text, b"mail ada@example.com"), "mail a***@***.com");
    assert_eq!(shown(MessageKind::Text, b"[\"ada\\u0040example.com\",1]"), "[\"a***@***.com\",1]");
    assert_eq!(shown(MessageKind::Binary, b"ada@example.com"), "a***@***.com");
    assert_eq!(shown(MessageKind::Binary, b"\0\xffada@example.com"), &b"\0\xffada@example.com"[..]);
    let strict = Session::new(r#"{"binary_messages": "fail"}"#);
    let channel = strict.ask(ExchangeKind::WebSocket);
    assert_eq!(strict.message(channel, MessageKind::Binary, b"\0\xff"), Err(Code::MaskingFailed));
}

fn bytes(number: u32, value: &[u8]) -> Vec<u8> {
    let (mut tag, mut out) = (Vec::new(), Vec::new());
    put_varint(u64::from(number) << 3 | 2, &mut tag);
    put_bytes(&tag, value, &mut out);
    out
}

fn number(field: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(u64::from(field) << 3, &mut out);
    put_varint(value, &mut out);
    out
}

fn call(session: &Session) -> ChannelId {
    session.ask(ExchangeKind::Grpc { service: "payments.v1.Cards".into(), method: "Get".into() })
}

#[test]
fn messages_without_a_descriptor_are_searched() {
    let session = Session::new("{}");
    let channel = call(&session);
    let shown = |bytes: &[u8]| session.message(channel, MessageKind::Grpc, bytes).expect("a message");
    let nested = |mail: &str| [number(1, 7), bytes(2, &bytes(3, mail.as_bytes())), number(99, 5)].concat();
    assert_eq!(shown(&nested("ada@example.com")), nested("a***@***.com"));
    let long = "x".repeat(200);
    assert_eq!(
        shown(&bytes(5, format!("{long} 123-45-6789").as_bytes())),
        bytes(5, format!("{long} [ssn]").as_bytes())
    );
    assert_eq!(shown(&number(4, 4_111_111_111_111_111)), number(4, 0));
    let group = |mail: &str| [&[0x0b][..], &bytes(2, mail.as_bytes()), &[0x0c]].concat();
    assert_eq!(shown(&group("ada@example.com")), group("a***@***.com"));
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"no message: ada@example.com"), "no message: a***@***.com");
    let data = bytes(1, &[0xff, 0, 1, 2]);
    assert_eq!(shown(&data), data);
}

fn field(name: &str, number: i32, kind: Type, of: Option<&str>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(if name.ends_with('s') { Label::Repeated } else { Label::Optional }.into()),
        r#type: Some(kind.into()),
        type_name: of.map(str::to_owned),
        ..FieldDescriptorProto::default()
    }
}

fn descriptors() -> String {
    STANDARD.encode(set().encode_to_vec())
}

fn set() -> FileDescriptorSet {
    let message =
        |name: &str, field| DescriptorProto { name: Some(name.to_owned()), field, ..DescriptorProto::default() };
    let card = message(
        "Card",
        vec![
            field("number", 1, Type::String, None),
            field("owner", 2, Type::String, None),
            field("pin", 3, Type::Int32, None),
            field("ids", 4, Type::Int64, None),
            field("photo", 5, Type::Bytes, None),
        ],
    );
    let cards = message(
        "GetReply",
        vec![
            field("cards", 1, Type::Message, Some(".payments.v1.Card")),
            field("note", 2, Type::String, None),
            field("any", 3, Type::Message, Some(".google.protobuf.Any")),
        ],
    );
    let any = message("Any", vec![field("type_url", 1, Type::String, None), field("value", 2, Type::Bytes, None)]);
    let get = MethodDescriptorProto {
        name: Some("Get".into()),
        input_type: Some(".payments.v1.Card".into()),
        output_type: Some(".payments.v1.GetReply".into()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto { name: Some("Cards".into()), method: vec![get], options: None };
    let file = |name: &str, package: &str, messages, dependency, service| FileDescriptorProto {
        name: Some(name.into()),
        package: Some(package.into()),
        message_type: messages,
        dependency,
        service,
        syntax: Some("proto3".into()),
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet {
        file: vec![
            file("any.proto", "google.protobuf", vec![any], Vec::new(), Vec::new()),
            file("cards.proto", "payments.v1", vec![card, cards], vec!["any.proto".into()], vec![service]),
        ],
    }
}

#[test]
fn what_a_target_tells_of_its_types_counts_where_it_has_every_field_with_a_rule() {
    let card = [bytes(1, b"12345678"), bytes(2, b"Ada")].concat();
    let reply = bytes(1, &card);
    let shown = |rules: &str, told: bool| {
        let session = Session::new(&format!(r#"{{"fields": [{rules}]}}"#));
        let mut known = Extensions::new();
        if told {
            known.insert(DescriptorPool::from_file_descriptor_set(set()).expect("types"));
        }
        let kind = ExchangeKind::Grpc { service: "payments.v1.Cards".into(), method: "Get".into() };
        session.message(session.ask_knowing(kind, known), MessageKind::Grpc, &reply)
    };
    let number = r#"{"grpc": "payments.v1.Card.number", "action": "partial"}"#;
    let renamed = r#"{"grpc": "payments.v1.Card.old_number"}"#;
    let masked = bytes(1, &[bytes(1, b"****5678"), bytes(2, b"Ada")].concat());
    assert_eq!(shown(number, true).expect("a message"), masked);
    assert_eq!(shown(number, false), Err(Code::MaskingFailed));
    assert_eq!(shown(&format!("{number}, {renamed}"), true), Err(Code::MaskingFailed));
}

#[test]
fn fields_of_known_messages_have_rules() {
    let rules = r#"{"grpc": "payments.v1.Card.number", "action": "partial"}, {"grpc": "payments.v1.Card.pin"},
        {"grpc": "payments.v1.Card.ids"}, {"grpc": "payments.v1.Card.photo", "action": "null"}"#;
    let session =
        Session::new(&format!(r#"{{"fields": [{rules}], "grpc": {{"descriptor_set": "{}"}}}}"#, descriptors()));
    let channel = call(&session);
    let card = |number_is: &str, owner: &str, pin| {
        [bytes(1, number_is.as_bytes()), bytes(2, owner.as_bytes()), number(3, pin), bytes(900, b"kept")].concat()
    };
    let more = [bytes(4, &[1, 2, 3]), bytes(5, b"\xff\xd8")].concat();
    let reply = |card: &[u8], tail: &[u8], note: &str| {
        let any = [bytes(1, b"type.googleapis.com/payments.v1.Card"), bytes(2, card)].concat();
        [bytes(1, &[card, tail].concat()), bytes(2, note.as_bytes()), bytes(3, &any)].concat()
    };
    let sent = reply(&card("12345678", "ada@example.com", 99), &more, "x ada@example.com");
    let shown = session.message(channel, MessageKind::Grpc, &sent).expect("a message");
    assert_eq!(shown, reply(&card("****5678", "a***@***.com", 0), &[], "x a***@***.com"));
    let unknown = session.ask(ExchangeKind::Grpc { service: "payments.v1.Cards".into(), method: "Other".into() });
    assert_eq!(session.message(unknown, MessageKind::Grpc, &sent), Err(Code::MaskingFailed));
    assert_eq!(session.message(channel, MessageKind::Grpc, b"\xff\xff"), Err(Code::MaskingFailed));
}
