//! One picture with a panel for each table: a bar for every variant.

use std::error::Error;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{TABLES, Table, rows};
use crate::results::{Results, median};

const WIDTH: u32 = 1_000;
const BAR: i32 = 20;
const HEAD: i32 = 44;
/// Where the bars begin and how long the longest is; its figure stands behind it.
const LEFT: i32 = 190;
const LONGEST: f64 = 660.0;

/// Draws all that was measured.
///
/// # Errors
///
/// That of the file.
pub(crate) fn draw(results: &Results, file: &Path) -> io::Result<()> {
    let panels: Vec<_> = TABLES
        .iter()
        .map(|table| (table, bars(results, table)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let heights = panels.iter().map(|(_, bars)| height(bars.len()));
    let size = (
        WIDTH,
        u32::try_from(heights.sum::<i32>() + BAR).unwrap_or(WIDTH),
    );
    let area = SVGBackend::new(file, size).into_drawing_area();
    picture(&panels, &area).map_err(|error| io::Error::other(error.to_string()))
}

/// The median of each variant.
fn bars(results: &Results, table: &Table) -> Vec<(&'static str, f64)> {
    rows(results, table)
        .map(|variant| {
            let values = results.values(table.scenario, variant.name, table.figures[0]);
            (variant.name, median(&values))
        })
        .filter(|(_, value)| value.is_finite())
        .collect()
}

fn height(bars: usize) -> i32 {
    HEAD + BAR * i32::try_from(bars).unwrap_or(0)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn picture(panels: &[(&Table, Vec<(&str, f64)>)], area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    let mut top = 0;
    for (table, bars) in panels {
        panel(table, bars, top, area)?;
        top += height(bars.len());
    }
    area.present()?;
    Ok(())
}

fn panel(
    table: &Table,
    bars: &[(&str, f64)],
    top: i32,
    area: &Area<'_>,
) -> Result<(), Box<dyn Error>> {
    let better = if table.lower_is_better {
        "less"
    } else {
        "more"
    };
    let title = format!("{}: {} ({better} is better)", table.title, table.figures[0]);
    area.draw(&Text::new(title, (12, top + 16), ("sans-serif", 17)))?;
    let most = bars
        .iter()
        .map(|(_, value)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    for (index, (name, value)) in bars.iter().enumerate() {
        let y = top + HEAD - 4 + BAR * i32::try_from(index)?;
        let length = (value / most * LONGEST) as i32;
        let bar = [(LEFT, y), (LEFT + length.max(1), y + BAR - 5)];
        area.draw(&Rectangle::new(bar, colour(name).filled()))?;
        area.draw(&Text::new(
            (*name).to_owned(),
            (12, y + 2),
            ("sans-serif", 13),
        ))?;
        let figure = if *value < 10.0 {
            format!("{value:.2}")
        } else {
            format!("{value:.0}")
        };
        area.draw(&Text::new(
            figure,
            (LEFT + length + 6, y + 2),
            ("sans-serif", 13),
        ))?;
    }
    Ok(())
}

fn colour(name: &str) -> RGBColor {
    match name.split([' ', ',']).next() {
        Some("aqueduct") => RGBColor(0, 114, 178),
        Some("kernel") => RGBColor(204, 102, 0),
        Some("bare") => RGBColor(150, 150, 150),
        _ => RGBColor(0, 158, 115),
    }
}
