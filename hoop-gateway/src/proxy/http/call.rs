//! A call of gRPC that the gateway makes itself, with the role's login: what it hears goes to no client.

use bytes::Bytes;
use hoop_core::{Code, Denial};
use hoop_proto::tunnel::v1::{self, HttpEnd, HttpField, http_message};
use http::{HeaderMap, StatusCode};
use prost::Message;

use super::exchange::GiveUp;
use super::{grpc, head};
use crate::session::HttpUrl;
use crate::tunnel::{Channel, ChannelReceiver, ChannelSender, OpenFailure, Received};

/// [gRPC's code](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md) for a method that is not there.
pub(super) const UNIMPLEMENTED: u16 = 12;

/// A call that runs. Dropping it gives it up.
pub(super) struct Call {
    receiver: ChannelReceiver,
    sender: ChannelSender,
    /// Once the head of the answer is there.
    messages: Option<grpc::Messages>,
    most: usize,
    /// How many more bytes are read of the answer.
    left: usize,
    _give_up: GiveUp,
}

/// Why no message comes.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The call has ended with this code of gRPC's.
    Status(u16),
    /// It broke off.
    Broken(Denial),
}

impl From<Denial> for Unanswered {
    fn from(denial: Denial) -> Self {
        Self::Broken(denial)
    }
}

impl Call {
    /// Calls a method, `/package.Service/Method`; of the whole answer, and of each message, at most `most` bytes are read.
    ///
    /// # Errors
    /// When the channel has ended.
    pub(super) async fn begin(channel: Channel, url: &HttpUrl, method: &str, most: usize) -> Result<Self, Denial> {
        let give_up = GiveUp::of(channel.canceller());
        let (receiver, mut sender) = channel.split();
        let field = |name: &str, value: &'static str| HttpField {
            name: name.to_owned(),
            value: Bytes::from_static(value.as_bytes()),
        };
        let head = v1::HttpRequest {
            method: "POST".to_owned(),
            path: format!("{}{method}", url.prefix),
            authority: url.authority.clone(),
            fields: vec![field("content-type", "application/grpc"), field("user-agent", "hoop-gateway")],
            bodiless: false,
            websocket: false,
            grpc: true,
        };
        sender.http(http_message::Body::Request(head)).await?;
        Ok(Self { receiver, sender, messages: None, most, left: most, _give_up: give_up })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the channel has ended.
    pub(super) async fn say(&mut self, message: &impl Message) -> Result<(), Denial> {
        self.sender.data(grpc::framed(&message.encode_to_vec().into())).await
    }

    /// No more messages are sent.
    ///
    /// # Errors
    /// When the channel has ended.
    pub(super) async fn end(&mut self) -> Result<(), Denial> {
        self.sender.http(http_message::Body::End(HttpEnd::default())).await
    }

    /// The next message of the answer.
    ///
    /// # Errors
    /// The status with which the call ended, or why it broke off.
    pub(super) async fn hear<M: Message + Default>(&mut self) -> Result<M, Unanswered> {
        loop {
            if let Some(message) = self.messages.as_mut().map(grpc::Messages::next).transpose()?.flatten() {
                return M::decode(message).map_err(|_| broken("a message that is none of its type").into());
            }
            match self.receiver.receive().await? {
                Received::Http(http_message::Body::Response(head)) if self.messages.is_none() => self.begun(head)?,
                Received::Data(data) => {
                    self.left = self.left.checked_sub(data.len()).ok_or_else(|| broken("more than anybody reads"))?;
                    let messages = self.messages.as_mut().ok_or_else(|| broken("a body without a head"))?;
                    messages.push(&data)?;
                }
                Received::Http(http_message::Body::End(end)) => {
                    return Err(status(&head::from_wire(end.trailers)?).unwrap_or_else(|| broken("no status").into()));
                }
                Received::Http(http_message::Body::Failed(failure)) => {
                    return Err(OpenFailure::from(failure).denial.into());
                }
                _ => return Err(broken("what is no answer to a call").into()),
            }
        }
    }

    fn begun(&mut self, head: v1::HttpResponse) -> Result<(), Unanswered> {
        let fields = head::from_wire(head.fields)?;
        if let Some(status) = status(&fields) {
            return Err(status);
        }
        if head.status != u32::from(StatusCode::OK.as_u16()) || head.bodiless {
            return Err(broken(&format!("the status {} of HTTP", head.status)).into());
        }
        self.messages = Some(grpc::Messages::new(&fields, self.most));
        Ok(())
    }
}

fn status(fields: &HeaderMap) -> Option<Unanswered> {
    let status = fields.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    Some(Unanswered::Status(status))
}

fn broken(what: &str) -> Denial {
    Denial::new("gateway", Code::TargetLost, format!("the target answered a call with {what}"))
}
