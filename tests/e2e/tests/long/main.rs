//! What takes minutes to see, and is no part of `make test`: `make long`.

mod http;
mod ssh;
mod store;
