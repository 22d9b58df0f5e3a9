use super::*;
use crate::cohort::context;
use crate::identity::Identity;
use ground::wire::{DecodeError, decode, encode};

fn member(participant: u32) -> Member {
    let identity = Identity::from_seed([participant as u8; 32]);
    let (encryption, masking) = ([5; 32], [6; 32]);
    let signed = RoundKeys::signed(&context().digest(), participant, &encryption, &masking);
    Member {
        participant,
        identity: identity.public(),
        keys: RoundKeys {
            encryption,
            masking,
            signature: identity.signature(&signed),
        },
    }
}

#[test]
fn a_signature_is_64_plain_bytes() {
    let mut bytes = [0; 64];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = i as u8;
    }
    let signature = Signature(bytes);
    let encoded = encode(&signature);
    assert_eq!(encoded[1..], bytes);
    assert_eq!(decode::<Signature>(&encoded), Ok(signature));
    assert_eq!(
        decode::<Signature>(&encoded[..64]),
        Err(DecodeError::Malformed)
    );
    // Also as JSON.
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
}

#[test]
fn keys_are_signed_for_one_sum_one_participant_and_both_keys() {
    let member = member(3);
    assert!(member.is_signed(&context()));
    assert!(!member.is_signed(&Context {
        record: [0; 32],
        ..context()
    }));
    for change in [
        |m: &mut Member| m.participant = 4,
        |m: &mut Member| m.keys.encryption[0] ^= 1,
        |m: &mut Member| m.keys.masking[0] ^= 1,
        |m: &mut Member| std::mem::swap(&mut m.keys.encryption, &mut m.keys.masking),
        |m: &mut Member| m.identity = Identity::from_seed([9; 32]).public(),
    ] {
        let mut other = member.clone();
        change(&mut other);
        assert!(!other.is_signed(&context()));
    }
}

#[test]
fn a_rosters_hash_covers_everything_in_it() {
    let roster = Roster {
        members: vec![member(1), member(2)],
    };
    let changes: [fn(&mut Roster); 6] = [
        |r| r.members[1].participant = 3,
        |r| r.members[0].identity[9] ^= 1,
        |r| r.members[0].keys.encryption[0] ^= 1,
        |r| r.members[1].keys.masking[31] ^= 1,
        |r| r.members[1].keys.signature.0[63] ^= 1,
        |r| r.members.truncate(1),
    ];
    for change in changes {
        let mut other = roster.clone();
        change(&mut other);
        assert_ne!(other.hash(), roster.hash());
    }
    assert_eq!(roster.member(2), Some(&member(2)));
    assert_eq!(roster.member(3), None);
}

#[test]
fn commitments_bind_all_their_parts() {
    let identity = Identity::from_seed([7; 32]);
    let (context, senders, vector) = ([1; 32], hash_senders(&[1, 2]), hash_vector(b"v"));
    let signature = identity.signature(&commitment(&context, 5, &senders, &vector));
    let public = identity.public();
    assert!(verify_commitment(
        &public, &context, 5, &senders, &vector, &signature
    ));
    let other = hash_senders(&[1, 3]);
    assert!(!verify_commitment(
        &public, &[2; 32], 5, &senders, &vector, &signature
    ));
    assert!(!verify_commitment(
        &public, &context, 6, &senders, &vector, &signature
    ));
    assert!(!verify_commitment(
        &public, &context, 5, &other, &vector, &signature
    ));
    assert!(!verify_commitment(
        &public,
        &context,
        5,
        &senders,
        &hash_vector(b"w"),
        &signature
    ));
    // A set of survivors is not a set of senders.
    assert_ne!(hash_senders(&[1, 2]), hash_survivors(&[1, 2]));
}

#[test]
fn revealed_shares_are_not_printed() {
    let revealed = Revealed {
        of: 7,
        kind: SecretKind::SelfMask,
        share: [171; 32],
    };
    let text = format!("{revealed:?}");
    assert!(text.contains("SelfMask") && !text.contains("171"), "{text}");
}
