//! The fuzz targets run the very functions that `cargo test` runs; see `../tests/decoders`.

#[path = "../../tests/decoders/checks.rs"]
pub mod checks;
#[path = "../../tests/decoders/seeds.rs"]
pub mod seeds;
