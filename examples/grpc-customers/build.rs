//! Generates the service's code, and what reflection tells of it, without an installed protoc.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["shop.proto"], ["proto"])?;
    let told = PathBuf::from(std::env::var("OUT_DIR")?).join("shop.bin");
    std::fs::write(told, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
