//! Repetition of a line: `~SEQ(var, start, step, end)` counts, `~LST(var, a, b)` lists.

use super::line::Line;

/// A line to repeat, and the values of the definitions in each repetition.
#[derive(Debug)]
pub(crate) struct Repetition {
    pub(crate) line: Line,
    pub(crate) values: Values,
}

/// Values of the repetitions in their order.
#[derive(Debug)]
pub(crate) enum Values {
    Count {
        name: String,
        next: i64,
        step: i64,
        last: i64,
        hexadecimal: bool,
    },
    List {
        names: Vec<String>,
        rows: std::vec::IntoIter<Vec<String>>,
    },
}

impl Iterator for Values {
    /// Names with their values.
    type Item = Vec<(String, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Count {
                name,
                next,
                step,
                last,
                hexadecimal,
            } => {
                let value = *next;
                if (*step > 0 && value > *last) || (*step < 0 && value < *last) || *step == 0 {
                    return None;
                }
                match value.checked_add(*step) {
                    Some(following) => *next = following,
                    None => *step = 0,
                }
                let text = if *hexadecimal {
                    format!("{value:x}")
                } else {
                    value.to_string()
                };
                Some(vec![(name.clone(), text)])
            }
            Self::List { names, rows } => {
                let row = rows.next()?;
                Some(names.iter().cloned().zip(row).collect())
            }
        }
    }
}

/// Parses a line that begins with `~`, after the definitions in its parentheses were replaced.
///
/// # Errors
///
/// The form that would be right.
pub(crate) fn repetition(line: &Line) -> Result<Repetition, &'static str> {
    const SEQ: &str = "write `~SEQ(NAME, START, STEP, END) TEXT`";
    const LST: &str =
        "write `~LST(NAME, VALUE, VALUE) TEXT` or `~LST({NAME, NAME}, {VALUE, VALUE}) TEXT`";
    let text = line.text();
    let (head, rest) = text.split_once('(').ok_or(SEQ)?;
    let (inside, _) = rest.split_once(')').ok_or(SEQ)?;
    let mut repeated = line.clone();
    repeated.remove_front(head.chars().count() + inside.chars().count() + 2);
    let values = match head.trim_end() {
        "~SEQ" => count(inside, false).ok_or(SEQ)?,
        "~SEQx" => count(inside, true).ok_or(SEQ)?,
        "~LST" => list(inside).ok_or(LST)?,
        _ => return Err("write `~SEQ` or `~LST`"),
    };
    Ok(Repetition {
        line: repeated,
        values,
    })
}

fn count(inside: &str, hexadecimal: bool) -> Option<Values> {
    let mut words = inside.split(',').map(str::trim);
    let name = words.next().filter(|name| !name.is_empty())?.to_owned();
    let numbers: Vec<i64> = words.map(number).collect::<Option<_>>()?;
    let (next, step, last) = match numbers[..] {
        [last] => {
            let sign = if last < 1 { -1 } else { 1 };
            (sign, sign, last)
        }
        [first, last] => (first, if first <= last { 1 } else { -1 }, last),
        [first, step, last] if step != 0 => (first, step, last),
        _ => return None,
    };
    Some(Values::Count {
        name,
        next,
        step,
        last,
        hexadecimal,
    })
}

fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some(sign * number.ok()?)
}

fn list(inside: &str) -> Option<Values> {
    let mut rows = rows(inside)?;
    if rows.is_empty() {
        return None;
    }
    let names = rows.remove(0);
    let fits = |row: &Vec<String>| row.len() == names.len();
    (!names.iter().any(String::is_empty) && rows.iter().all(fits)).then(|| Values::List {
        names,
        rows: rows.into_iter(),
    })
}

/// Splits `{a, b}, {c, d}` or `a, b, c` at the commas outside of braces.
fn rows(inside: &str) -> Option<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let row;
        (row, rest) = match rest.strip_prefix('{') {
            Some(open) => open.split_once('}')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        let is_group = rest.len() + row.len() + 1 < inside.len() && row.contains(',');
        let words = row.split(',').map(|word| word.trim().to_owned());
        rows.push(if is_group || row.contains(',') {
            words.collect()
        } else {
            vec![row.trim().to_owned()]
        });
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let repetition = repetition(&Line::new(0, 1, text)).unwrap();
        assert_eq!(repetition.line.text(), "x");
        let row = |row: Vec<(String, String)>| {
            let pairs: Vec<_> = row
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(" ")
        };
        repetition.values.take(20).map(row).collect()
    }

    #[test]
    fn sequence_counts_up_down_and_in_steps() {
        assert_eq!(values("~SEQ(n, 3) x"), ["n=1", "n=2", "n=3"]);
        assert_eq!(values("~SEQ(n, 3, 1) x"), ["n=3", "n=2", "n=1"]);
        assert_eq!(values("~SEQ(n, 0, 10, 25) x"), ["n=0", "n=10", "n=20"]);
        assert_eq!(values("~SEQx (n, 9, 11) x"), ["n=9", "n=a", "n=b"]);
        assert_eq!(
            values("~SEQ(n, 9223372036854775806, 9223372036854775807) x").len(),
            2
        );
    }

    #[test]
    fn list_has_one_or_several_names() {
        assert_eq!(values("~LST(n, a, b) x"), ["n=a", "n=b"]);
        assert_eq!(
            values("~LST({n, m}, {a, b}, {c, d}) x"),
            ["n=a m=b", "n=c m=d"]
        );
    }

    #[test]
    fn wrong_repetition_is_rejected() {
        for text in [
            "~SEQ",
            "~SEQ(n)",
            "~SEQ(n, 1, 0, 2) x",
            "~SEQ(, 1) x",
            "~LST({n, m}, {a}) x",
            "~ABC(n) x",
        ] {
            assert!(repetition(&Line::new(0, 1, text)).is_err(), "{text}");
        }
    }
}
