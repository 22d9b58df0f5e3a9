//! Ed25519 keys of those who join, with proof of possession.

use crate::failure::Failure;
use federation::round::messages::{JoinRequest, join_statement};
use federation::round::refusal::Refusal;
use ground::hex::unhex;
use secure_sum::identity::verify;

/// The identity of a join request in lower-case hexadecimal, once its proof was verified; nothing if it names
/// none.
pub(super) fn proven(join: &JoinRequest, federation: &str) -> Result<Option<String>, Failure> {
    if join.identity.is_empty() && join.proof.is_empty() {
        return Ok(None);
    }
    let refuse = |why: &str| Failure::RefusedBecause(Refusal::BadIdentity, format!("the {why}"));
    let public: [u8; 32] =
        unhex(&join.identity).ok_or_else(|| refuse("identity must be 64 hexadecimal digits"))?;
    let proof: [u8; 64] =
        unhex(&join.proof).ok_or_else(|| refuse("proof must be 128 hexadecimal digits"))?;
    if !verify(&public, &join_statement(federation, &join.invite), &proof) {
        return Err(refuse(
            "proof is not this identity's signature for this federation and invite",
        ));
    }
    // A single spelling, so that one key is one participant.
    Ok(Some(join.identity.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ground::hex::hex;
    use secure_sum::identity::Identity;

    fn request(seed: u8, federation: &str, invite: &str) -> JoinRequest {
        let identity = Identity::from_seed([seed; 32]);
        JoinRequest {
            invite: invite.to_owned(),
            identity: hex(&identity.public()),
            proof: hex(&identity.sign(&join_statement(federation, invite))),
        }
    }

    #[test]
    fn an_identity_must_prove_itself_for_this_federation_and_invite() {
        let good = request(1, "f", "i");
        assert_eq!(proven(&good, "f").unwrap(), Some(good.identity.clone()));
        let capitals = JoinRequest {
            identity: good.identity.to_ascii_uppercase(),
            proof: good.proof.to_ascii_uppercase(),
            ..good.clone()
        };
        assert_eq!(proven(&capitals, "f").unwrap(), Some(good.identity.clone()));
        let nobody = JoinRequest {
            invite: "i".to_owned(),
            ..JoinRequest::default()
        };
        assert_eq!(proven(&nobody, "f").unwrap(), None);

        let other = request(2, "f", "i");
        let change = |identity: &str, proof: &str| JoinRequest {
            invite: "i".to_owned(),
            identity: identity.to_owned(),
            proof: proof.to_owned(),
        };
        for bad in [
            request(1, "g", "i"),
            JoinRequest {
                invite: "j".to_owned(),
                ..good.clone()
            },
            change(&other.identity, &good.proof),
            change(&good.identity, &other.proof),
            change(&good.identity, ""),
            change("", &good.proof),
            change(&good.identity[2..], &good.proof),
            change(&good.identity, &good.proof[2..]),
            // A key of order 4, with which anyone could sign.
            change(&"00".repeat(32), &good.proof),
        ] {
            assert!(
                matches!(
                    proven(&bad, "f"),
                    Err(Failure::RefusedBecause(Refusal::BadIdentity, _))
                ),
                "{bad:?}"
            );
        }
    }
}
