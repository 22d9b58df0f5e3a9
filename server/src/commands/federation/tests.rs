use super::*;

#[test]
fn spans_of_time() {
    for (text, seconds) in [
        ("90s", 90),
        ("30m", 1_800),
        ("12h", 43_200),
        ("7d", 604_800),
    ] {
        assert_eq!(parse_span(text), Ok(seconds));
    }
    for bad in [
        "",
        "7",
        "d",
        "0d",
        "-1d",
        "7w",
        "1.5h",
        "7 d",
        "999999999999999999d",
        "7ä",
    ] {
        assert!(parse_span(bad).is_err(), "{bad}");
    }
    for (seconds, text) in [
        (59, "59s"),
        (60, "1m"),
        (3_661, "1h 1m"),
        (604_799, "6d 23h"),
        (86_405, "1d"),
    ] {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn an_invite_in_a_line() {
    let invite = InviteSummary {
        id: "0a".to_owned(),
        created_at: 0,
        expires_at: Some(61_000),
        uses: Some(3),
        used: 1,
        revoked: false,
    };
    assert_eq!(standing(&invite, 1_000), "0a  1 of 3 uses  expires in 1m");
    assert_eq!(standing(&invite, 61_000), "0a  1 of 3 uses  expired");
    let open = InviteSummary {
        expires_at: None,
        uses: None,
        ..invite
    };
    assert_eq!(standing(&open, 0), "0a  1 uses  does not expire");
    let revoked = InviteSummary {
        revoked: true,
        ..open
    };
    assert_eq!(standing(&revoked, 0), "0a  1 uses  revoked");
}
