//! Ed25519 over 200 bytes, the size of a vote with its context.

use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};

use super::floors::{Floor, Sampler};

pub(super) fn sign_and_verify(length: Duration) -> [Floor; 2] {
    // A fixed key: its secrecy protects nothing here.
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifying = key.verifying_key();
    let (mut sign, mut verify) = (Sampler::new(), Sampler::new());
    let mut message = [0_u8; 200];
    let start = Instant::now();
    while start.elapsed() < length {
        message[0] = message[0].wrapping_add(1);
        let signature = sign.time(|| key.sign(&message));
        let verified = verify.time(|| verifying.verify_strict(&message, &signature));
        assert!(verified.is_ok(), "a signature just made verifies");
    }
    [
        sign.floor("ed25519 sign"),
        verify.floor("ed25519 verify, strict"),
    ]
}
