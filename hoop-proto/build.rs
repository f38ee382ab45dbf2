//! Generates the tunnel's gRPC code from `proto/`, without an installed protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["hoop/v1/agent.proto", "hoop/v1/client.proto"], ["proto"])?;
    // Every bytes field is a view into what was received, not a copy.
    tonic_prost_build::configure()
        .bytes(".")
        // It has one of its own, without the secret.
        .skip_debug([".hoop.v1.SuppliedSecret"])
        .codec_path("crate::tunnel::codec::TunnelCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
