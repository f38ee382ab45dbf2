//! How the tunnel's messages are encoded: as prost does, in buffers that are small to begin with.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What each direction of each stream keeps, in bytes. gRPC's usual 8 KiB would be half of what an idle session weighs; a
/// longer message gets the room that it needs.
const BUFFER: usize = 256;
/// Encoded messages that wait for each other are sent together up to this many bytes, as usual.
const TOGETHER: usize = 32 * 1024;

/// The codec of the tunnel's services.
#[derive(Debug, Clone)]
pub struct TunnelCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for TunnelCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for TunnelCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, TOGETHER))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, TOGETHER))
    }
}
