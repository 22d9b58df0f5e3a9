//! `secure-sum-bound`: how many members of a group may drop out of a secure sum, and how many may
//! collude with an aggregator that lies.

use anyhow::{Context, Result};
use secure_sum::SumPolicy;
use secure_sum::bound::Bound;
use serde_json::{Map, Value, json};

use super::{Figure, Inputs};

pub const FIGURE: Figure = Figure {
    name: "secure-sum-bound",
    summary: "how many members may drop out of a secure sum, and how many may collude with a lying aggregator",
    run,
};

const MEMBERS: [usize; 15] = [3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 50, 100, 101, 200, 300];

fn run(_: &Inputs) -> Result<Value> {
    let mut result = Map::new();
    println!(
        "\n| members m | may drop out, wherever they stand | colluders withstood | honest people in the smallest sum |\n|---|---|---|---|"
    );
    for members in MEMBERS {
        let bound =
            Bound::of(&SumPolicy::default(), members).context("a group of three or more")?;
        println!(
            "| {members} | {} | {} | {} |",
            bound.dropouts, bound.colluders, bound.honest
        );
        let row = json!([bound.dropouts, bound.colluders, bound.honest]);
        result.insert(members.to_string(), row);
    }
    println!();
    Ok(Value::Object(result))
}
