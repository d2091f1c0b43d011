//! One picture for each figure of the matrix: a point for every path and stack.

use std::io;
use std::path::Path as File;

use plotters::prelude::*;

use crate::plan::{PAIRS, cells};
use crate::report::{delay, series};
use crate::results::{Result, Results};

/// What a picture shows.
pub(crate) struct Figure {
    file: &'static str,
    title: &'static str,
    value: fn(&Result) -> Option<f64>,
    most: f64,
}

pub(crate) const GOODPUT: Figure = Figure {
    file: "goodput.svg",
    title: "Goodput, share of the link's rate",
    value: |one| Some(one.flows.first()?.overall / one.path.rate),
    most: 1.0,
};

pub(crate) const DELAY: Figure = Figure {
    file: "delay.svg",
    title: "Round trip, 95th percentile, in multiples of the path's own",
    value: |one| Some(delay(one) / one.path.rtt),
    most: 6.5,
};

pub(crate) const REPEATED: Figure = Figure {
    file: "repeated.svg",
    title: "Packets sent again, %",
    value: |one| Some(one.flows.first()?.retransmitted * 100.0),
    most: 8.0,
};

const SIZE: (u32, u32) = (1_200, 760);
const COLOURS: [RGBColor; 3] = [
    RGBColor(204, 102, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
];

pub(crate) fn draw(figure: &Figure, results: &Results, directory: &File) -> io::Result<()> {
    let file = directory.join(figure.file);
    let area = SVGBackend::new(&file, SIZE).into_drawing_area();
    picture(figure, results, &area).map_err(|error| io::Error::other(error.to_string()))?;
    area.present()
        .map_err(|error| io::Error::other(error.to_string()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn picture(
    figure: &Figure,
    results: &Results,
    area: &Area<'_>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let cells = cells();
    let names: Vec<_> = cells.iter().map(ToString::to_string).collect();
    let mut chart = ChartBuilder::on(area)
        .caption(figure.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(190)
        .y_label_area_size(48)
        .build_cartesian_2d(-1_i32..i32::try_from(cells.len())?, 0.0..figure.most)?;
    chart
        .configure_mesh()
        .x_labels(cells.len() + 2)
        .x_label_formatter(&|index| {
            usize::try_from(*index)
                .ok()
                .and_then(|index| names.get(index).cloned())
                .unwrap_or_default()
        })
        .x_label_style(
            ("sans-serif", 10)
                .into_font()
                .transform(FontTransform::Rotate90),
        )
        .draw()?;
    for ((ours, kernel), colour) in PAIRS.into_iter().zip(COLOURS) {
        let points = |stack| {
            series(results, stack, figure.value)
                .into_iter()
                .filter_map(|(index, value)| Some((i32::try_from(index).ok()?, value)))
                .map(|(index, value)| (index, value.min(figure.most)))
        };
        chart
            .draw_series(points(ours).map(|at| Circle::new(at, 4, colour.filled())))?
            .label(ours)
            .legend(move |at| Circle::new(at, 4, colour.filled()));
        chart
            .draw_series(points(kernel).map(|at| Cross::new(at, 4, colour.stroke_width(2))))?
            .label(kernel)
            .legend(move |at| Cross::new(at, 4, colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.4))
        .draw()?;
    Ok(())
}
