use super::*;

const BINDING: Binding = Binding {
    context: [1; 32],
    roster: [2; 32],
};

fn pair() -> ([Bytes32; 2], [Bytes32; 2]) {
    let private = [[11; 32], [12; 32]];
    (private, private.map(|key| public_key(&key)))
}

#[test]
fn known_answer_of_rfc_7748() {
    // Section 6.1: what Alice and Bob agree on.
    let unhex = |text: &str| -> Bytes32 {
        let byte = |i: usize| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
        std::array::from_fn(byte)
    };
    let alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let publics = [alice, bob].map(|private| public_key(&private));
    assert_eq!(
        publics,
        [
            unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
            unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        ]
    );
    let agreed = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(*agree(&alice, &publics[1]).unwrap(), agreed);
    assert_eq!(*agree(&bob, &publics[0]).unwrap(), agreed);
}

#[test]
fn keys_of_small_order_agree_on_nothing() {
    for public in SMALL_ORDER {
        assert!(agree(&[11; 32], &public).is_none());
        assert!(!is_acceptable(&public));
        // The same point with the unused bit set.
        let mut twin = public;
        twin[31] |= 0x80;
        assert!(agree(&[11; 32], &twin).is_none());
        assert!(!is_acceptable(&twin));
    }
    // p, …, p + 18 are second encodings of 0, …, 18.
    for low in 0xed..=0xff {
        let mut public = [0xff; 32];
        (public[0], public[31]) = (low, 0x7f);
        assert!(!is_acceptable(&public));
    }
    // p − 2 and 2 are points like others.
    let mut large = [0xff; 32];
    (large[0], large[31]) = (0xeb, 0x7f);
    let mut two = [0; 32];
    two[0] = 2;
    for public in [large, two, pair().1[0]] {
        assert!(is_acceptable(&public));
        assert!(agree(&[11; 32], &public).is_some());
    }
}

#[test]
fn envelopes_open_for_the_addressee_in_this_sum_only() {
    let (private, public) = pair();
    let (from, to) = ((3, &public[0]), (7, &public[1]));
    let content: [u8; CONTENT] = std::array::from_fn(|i| i as u8);
    let sealed = seal(&private[0], &BINDING, from, to, &content).unwrap();
    assert_eq!(sealed.len(), SEALED);
    let open = |binding: &Binding, from, to, sealed: &[u8]| {
        unseal(&private[1], binding, from, to, sealed).map(|content| *content)
    };
    assert_eq!(open(&BINDING, from, to, &sealed), Some(content));
    for byte in 0..SEALED {
        let mut tampered = sealed.clone();
        tampered[byte] ^= 1;
        assert_eq!(open(&BINDING, from, to, &tampered), None, "byte {byte}");
    }
    let foreign = [
        Binding {
            context: [0; 32],
            ..BINDING
        },
        Binding {
            roster: [0; 32],
            ..BINDING
        },
    ];
    assert!(foreign.iter().all(|b| open(b, from, to, &sealed).is_none()));
    assert_eq!(open(&BINDING, (4, from.1), to, &sealed), None);
    assert_eq!(open(&BINDING, from, (8, to.1), &sealed), None);
    // Returned to the sender, as if the addressee had sealed it.
    assert!(unseal(&private[0], &BINDING, to, from, &sealed).is_none());
    assert_eq!(open(&BINDING, from, to, &sealed[..SEALED - 1]), None);
    assert_eq!(open(&BINDING, from, to, &[]), None);
    let mut longer = sealed;
    longer.push(0);
    assert_eq!(open(&BINDING, from, to, &longer), None);
}

#[test]
fn both_get_the_same_mask_of_this_sum() {
    let (private, public) = pair();
    let (one, other) = ((3, &public[0]), (7, &public[1]));
    let mask = |key: usize, binding: &Binding, senders: u8, mine, theirs| {
        let mut stream = pair_mask(&private[key], binding, &[senders; 32], mine, theirs).unwrap();
        stream.next_u64()
    };
    let usual = mask(0, &BINDING, 5, one, other);
    assert_eq!(mask(1, &BINDING, 5, other, one), usual);
    assert_ne!(mask(0, &BINDING, 6, one, other), usual);
    assert_ne!(mask(0, &BINDING, 5, (4, one.1), other), usual);
    assert_ne!(mask(0, &BINDING, 5, one, (6, other.1)), usual);
    let foreign = Binding {
        roster: [0; 32],
        ..BINDING
    };
    assert_ne!(mask(0, &foreign, 5, one, other), usual);
    assert!(adds(3, 7) && !adds(7, 3));
}

#[test]
fn self_masks_are_of_one_participant_in_one_sum() {
    let first = |seed: u8, binding: &Binding, senders: u8, participant| {
        self_mask(&[seed; 32], binding, &[senders; 32], participant).next_u64()
    };
    let usual = first(1, &BINDING, 2, 3);
    assert_eq!(first(1, &BINDING, 2, 3), usual);
    let foreign = Binding {
        context: [0; 32],
        ..BINDING
    };
    for other in [
        first(2, &BINDING, 2, 3),
        first(1, &foreign, 2, 3),
        first(1, &BINDING, 1, 3),
        first(1, &BINDING, 2, 4),
    ] {
        assert_ne!(other, usual);
    }
}
