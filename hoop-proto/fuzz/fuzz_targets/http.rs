#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hoop_proto_fuzz::checks::http(data);
});
