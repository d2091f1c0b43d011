//! The picture: four panels on one axis of time.

use std::error::Error;
use std::path::Path;

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Text};
use plotters::series::LineSeries;
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE};

use crate::history::History;
use crate::series::Series;

/// Heights, pixels: the line above, the time-sequence, the other panels.
const TITLE: u32 = 26;
const FIRST: u32 = 300;
const OTHER: u32 = 180;
/// Pixels left of a panel, for its numbers, and below, for those of time.
const LEFT: u32 = 84;
const BELOW: u32 = 34;
/// Pixels right of a panel, for what explains its colours.
const RIGHT: u32 = 118;

// Colours that people tell apart who do not see all of them (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const RED: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(130, 130, 130);
const SKY: RGBColor = RGBColor(86, 180, 233);

/// What of the history is drawn, and how large.
pub(crate) struct View<'v> {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) width: u32,
    pub(crate) title: &'v str,
}

/// A line of a panel.
struct Line<'h> {
    label: &'static str,
    series: &'h Series,
    colour: RGBColor,
    width: u32,
}

type Area<'b> = DrawingArea<SVGBackend<'b>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

/// Draws the picture into a file.
pub(crate) fn draw(path: &Path, history: &History, view: &View<'_>) -> Drawn {
    let height = TITLE + FIRST + 3 * OTHER + BELOW;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (view.width, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let font = ("sans-serif", 15).into_font();
        let panels = root.titled(view.title, font)?;
        let (first, rest) = panels.split_vertically(FIRST);
        let (second, rest) = rest.split_vertically(OTHER);
        let (third, fourth) = rest.split_vertically(OTHER);
        time_sequence(&first, history, view)?;
        windows(&second, history, view)?;
        round_trips(&third, history, view)?;
        rates(&fourth, history, view)?;
        root.present()?;
    }
    std::fs::write(path, svg)?;
    Ok(())
}

impl View<'_> {
    fn time(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    fn columns(&self) -> u32 {
        self.width - LEFT - RIGHT
    }
}

fn time_sequence(area: &Area<'_>, history: &History, view: &View<'_>) -> Drawn {
    let lines = [
        line("window edge", &history.edge, GREY),
        line("sent", &history.sent, BLUE),
        line("acknowledged", &history.acknowledged, GREEN),
    ];
    // The edge may be far above all that is sent: it does not decide how high the panel is.
    let highest = history.sent.highest(view.time()).unwrap_or(0.0) * 1.15;
    let lowest = history.acknowledged.steps(view.time(), 1);
    let lowest = lowest.first().map_or(0.0, |(_, bytes)| *bytes);
    let range = (lowest * 0.99, highest.max(lowest + 1.0));
    let (area, beside) = split(area);
    let keys = lines.iter().map(|line| (line.label, line.colour));
    let keys: Vec<_> = keys.chain([("retransmitted", RED)]).collect();
    explain(&beside, &keys)?;
    let mut chart = panel(&area, view, range, ("stream offset", &bytes), false)?;
    for line in &lines {
        draw_line(&mut chart, line, view)?;
    }
    let pixels = (view.columns(), FIRST);
    let style = ShapeStyle::from(RED).stroke_width(2);
    let marks = history.repeated_pixels(view.time(), pixels, range.1 - range.0);
    let marks = marks
        .into_iter()
        .map(|(at, begin, end)| PathElement::new(vec![(at, begin), (at, end)], style));
    chart.draw_series(marks)?;
    Ok(())
}

fn windows(area: &Area<'_>, history: &History, view: &View<'_>) -> Drawn {
    let lines = [
        line("in flight", &history.bytes_in_flight, SKY),
        line("ssthresh", &history.ssthresh, GREY),
        bold("cwnd", &history.cwnd, BLUE),
    ];
    draw_lines(area, view, &lines, ("window", &bytes), false)
}

fn round_trips(area: &Area<'_>, history: &History, view: &View<'_>) -> Drawn {
    let lines = [
        line("latest", &history.latest_rtt, SKY),
        bold("smoothed", &history.smoothed_rtt, BLUE),
        line("minimum", &history.min_rtt, GREEN),
    ];
    draw_lines(area, view, &lines, ("round trip", &millis), false)
}

fn rates(area: &Area<'_>, history: &History, view: &View<'_>) -> Drawn {
    let lines = [
        line("pacing", &history.pacing_rate, SKY),
        bold("delivery", &history.delivery_rate, BLUE),
    ];
    draw_lines(area, view, &lines, ("rate", &megabits), true)
}

fn line<'h>(label: &'static str, series: &'h Series, colour: RGBColor) -> Line<'h> {
    Line {
        label,
        series,
        colour,
        width: 1,
    }
}

fn bold<'h>(label: &'static str, series: &'h Series, colour: RGBColor) -> Line<'h> {
    Line {
        width: 2,
        ..line(label, series, colour)
    }
}

/// A panel of lines from zero to a little above the highest.
fn draw_lines(
    area: &Area<'_>,
    view: &View<'_>,
    lines: &[Line<'_>],
    y: (&str, &dyn Fn(&f64) -> String),
    is_last: bool,
) -> Drawn {
    let tops = lines
        .iter()
        .filter_map(|line| line.series.highest(view.time()));
    let top = tops.fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.1 } else { 1.0 };
    let (area, beside) = split(area);
    let keys: Vec<_> = lines
        .iter()
        .rev()
        .map(|line| (line.label, line.colour))
        .collect();
    explain(&beside, &keys)?;
    let mut chart = panel(&area, view, (0.0, top), y, is_last)?;
    for line in lines {
        draw_line(&mut chart, line, view)?;
    }
    Ok(())
}

/// The axes of a panel; only the last one has the numbers of time.
fn panel<'b>(
    area: &Area<'b>,
    view: &View<'_>,
    (low, high): (f64, f64),
    (name, number): (&str, &dyn Fn(&f64) -> String),
    is_last: bool,
) -> Result<Chart<'b, 'b>, Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(4)
        .margin_left(8)
        .set_left_and_bottom_label_area_size(0)
        .y_label_area_size(LEFT)
        .x_label_area_size(if is_last { BELOW } else { 6 })
        .build_cartesian_2d(view.from..view.to, low..high)?;
    let seconds = |at: &f64| {
        format!("{at:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    let blank = |_: &f64| String::new();
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(WHITE.mix(0.0))
        .bold_line_style(GREY.mix(0.25))
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 13))
        .y_desc(name)
        .y_labels(if is_last { 6 } else { 7 })
        .y_label_formatter(number);
    if is_last {
        mesh.x_desc("seconds").x_label_formatter(&seconds).draw()?;
    } else {
        mesh.x_label_formatter(&blank).draw()?;
    }
    Ok(chart)
}

fn draw_line(chart: &mut Chart<'_, '_>, line: &Line<'_>, view: &View<'_>) -> Drawn {
    let steps = line.series.steps(view.time(), view.columns());
    let style = ShapeStyle::from(line.colour).stroke_width(line.width);
    chart.draw_series(LineSeries::new(steps, style))?;
    Ok(())
}

/// The panel, and the place beside it.
fn split<'b>(area: &Area<'b>) -> (Area<'b>, Area<'b>) {
    let (width, _) = area.dim_in_pixel();
    area.split_horizontally(width.saturating_sub(RIGHT))
}

/// Explains the colours, beside the panel.
fn explain(area: &Area<'_>, keys: &[(&str, RGBColor)]) -> Drawn {
    let font = ("sans-serif", 12).into_font();
    let mut y = 12;
    for (label, colour) in keys {
        let style = ShapeStyle::from(*colour).stroke_width(2);
        area.draw(&PathElement::new(vec![(8, y), (24, y)], style))?;
        area.draw(&Text::new((*label).to_owned(), (30, y - 6), font.clone()))?;
        y += 16;
    }
    Ok(())
}

// --- numbers ----------------------------------------------------------------------------------------

fn bytes(value: &f64) -> String {
    match *value {
        value if value >= 1e9 => format!("{:.2} GB", value / 1e9),
        value if value >= 1e6 => format!("{:.2} MB", value / 1e6),
        value if value >= 1e3 => format!("{:.0} kB", value / 1e3),
        value => format!("{value:.0} B"),
    }
}

fn millis(value: &f64) -> String {
    match *value {
        value if value != 0.0 && value < 1.0 => format!("{value:.2} ms"),
        value if value < 10.0 => format!("{value:.1} ms"),
        value => format!("{value:.0} ms"),
    }
}

fn megabits(value: &f64) -> String {
    match *value {
        value if value != 0.0 && value < 1.0 => format!("{value:.2} Mbit/s"),
        value if value < 10.0 => format!("{value:.1} Mbit/s"),
        value => format!("{value:.0} Mbit/s"),
    }
}
