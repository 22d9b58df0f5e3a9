use super::*;

#[test]
fn a_key_is_one_word() {
    assert_eq!(checked("sk-abc\r\n").unwrap().reveal(), "sk-abc");
    for bad in [
        "",
        "\n",
        "a b",
        "a\nb",
        "a\r\nx-evil: 1",
        "schlüssel",
        "a\0",
    ] {
        assert!(matches!(checked(bad), Err(KeyError::Malformed)), "{bad:?}");
    }
}

#[test]
fn the_header_does_not_show_it() {
    let key = Secret::new("sk-abc");
    let (name, value) = header(&key, None).unwrap();
    assert_eq!(
        (name.as_str(), value.as_bytes()),
        ("authorization", &b"Bearer sk-abc"[..])
    );
    assert!(!format!("{value:?}").contains("sk-abc"));
    let (name, value) = header(&key, Some("X-Api-Key")).unwrap();
    assert_eq!(
        (name.as_str(), value.as_bytes()),
        ("x-api-key", &b"sk-abc"[..])
    );
    for bad in [
        "",
        "a b",
        "Host",
        "content-length",
        "Transfer-Encoding",
        "x:y",
    ] {
        assert!(
            matches!(header(&key, Some(bad)), Err(KeyError::Header(_))),
            "{bad}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_program_gives_the_key_or_says_why_not() {
    let run = |script: &str| output_of(std::process::Command::new("sh").args(["-c", script]));
    let key = checked(&run("echo sk-abc").unwrap()).unwrap();
    assert_eq!(key.reveal(), "sk-abc");
    assert!(run("exit 1").unwrap_err().contains("no such entry"));
    assert!(
        run("echo locked >&2; exit 1")
            .unwrap_err()
            .contains("locked")
    );
    let missing = output_of(&mut std::process::Command::new("no-such-program"));
    assert!(
        missing
            .unwrap_err()
            .contains("`no-such-program` cannot be run")
    );
}

#[test]
fn what_is_not_set_is_named() {
    let error = from_environment("FED_BBPT_NO_SUCH_VARIABLE").unwrap_err();
    assert!(error.to_string().contains("FED_BBPT_NO_SUCH_VARIABLE"));
}
