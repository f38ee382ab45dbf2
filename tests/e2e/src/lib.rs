//! The end-to-end tests; see `tests/e2e`. They need what `setup.sh` installs.
