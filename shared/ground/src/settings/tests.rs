use super::*;
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    #[default]
    Red,
    Blue,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: Option<String>,
    count: Option<u32>,
    colour: Option<Colour>,
}

fn table(value: Value) -> Table {
    value.as_object().unwrap().clone()
}

#[test]
fn all_faults_at_once_and_the_rest_is_read() {
    let mut faults = Vec::new();
    let value = json!({ "name": 3, "count": -1, "colour": "green", "typo": true });
    assert_eq!(
        read::<Settings>("x", &table(value), &mut faults),
        Settings::default()
    );
    let mut told: Vec<_> = faults.iter().map(Fault::to_string).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "x.colour: must be one of \"red\" | \"blue\", but is \"green\"",
            "x.count: must be a whole number, but is -1",
            "x.name: must be a text, but is 3",
            "x.typo: is not a setting; known here: name, count, colour",
        ]
    );
    let mut faults = Vec::new();
    let value = json!({ "name": "a", "count": "many" });
    let settings: Settings = read("", &table(value), &mut faults);
    assert_eq!(settings.name.as_deref(), Some("a"));
    assert_eq!(faults[0].path, "count");
}

#[test]
fn variables_are_texts_or_numbers_as_the_settings_want_them() {
    let variables = [
        ("X_NAME", "12"),
        ("X_COUNT", "12"),
        ("X_OTHER", "1"),
        ("Y_NAME", "b"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = environment::<Settings>("X_", variables);
    assert_eq!(Value::Object(found), json!({ "name": "12", "count": 12 }));
    let bad = [("X_COUNT".to_owned(), "many".to_owned())];
    let found = environment::<Settings>("X_", bad);
    assert_eq!(Value::Object(found), json!({ "count": "many" }));
}

#[test]
fn what_is_not_given_does_not_hide_a_lower_layer() {
    let mut all = table(json!({ "name": "file", "count": 1 }));
    let flags = Settings {
        count: Some(2),
        ..Settings::default()
    };
    all.extend(given(&flags).unwrap());
    assert_eq!(Value::Object(all), json!({ "name": "file", "count": 2 }));
}
