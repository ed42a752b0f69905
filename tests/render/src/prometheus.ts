// Asks Prometheus over its HTTP API, and turns answers into data frames as Grafana's data source does.

import { type DataFrame, type Field, FieldType, rangeUtil, type TimeRange, toDataFrame } from '@grafana/data';
import type { Target } from './model';

type Labels = Record<string, string>;
type Sample = [seconds: number, value: string];

interface Series {
  metric: Labels;
  value?: Sample;
  values?: Sample[];
}

/** When, and how closely, a panel looks. */
export interface Span {
  range: TimeRange;
  stepSeconds: number;
  /** How far apart samples are. */
  scrapeSeconds: number;
}

/** As many steps as there are points; a step is never smaller than it may be, which is the scrape interval by default. */
export function span(range: TimeRange, points: number, scrapeInterval: string, smallestStep = scrapeInterval): Span {
  return {
    range,
    stepSeconds: rangeUtil.calculateInterval(range, points, smallestStep).intervalMs / 1000,
    scrapeSeconds: rangeUtil.intervalToSeconds(scrapeInterval),
  };
}

/** The frames of one query, whose variables are already replaced. */
export async function query(target: Target, expr: string, span: Span, alone: boolean): Promise<DataFrame[]> {
  const asked: Array<Promise<Series[]>> = [];
  if (target.instant) {
    asked.push(instant(expr, span.range));
  }
  if (target.range || !target.instant) {
    asked.push(range(expr, span));
  }
  const series = (await Promise.all(asked)).flat();
  if (target.format === 'table') {
    return [table(target, series, alone)];
  }
  return series.map((one) => timeSeries(target, expr, one, span));
}

export async function instant(expr: string, range: TimeRange): Promise<Series[]> {
  const result = await ask('query', { query: expr, time: seconds(range.to.valueOf()) });
  // A number without labels, such as `scalar(x)` or `vector` of nothing: [time, value].
  return result.resultType === 'scalar' ? [{ metric: {}, value: result.result }] : result.result;
}

async function range(expr: string, { range, stepSeconds }: Span): Promise<Series[]> {
  // Whole steps since the epoch, so that the same points are asked for whenever it is asked.
  const align = (time: number) => Math.floor(time / 1000 / stepSeconds) * stepSeconds;
  const start = align(range.from.valueOf());
  const end = align(range.to.valueOf());
  return (await ask('query_range', { query: expr, start, end, step: stepSeconds })).result;
}

export async function labelValues(label: string, selector: string | undefined, range: TimeRange): Promise<string[]> {
  return ask(`label/${encodeURIComponent(label)}/values`, {
    start: seconds(range.from.valueOf()),
    end: seconds(range.to.valueOf()),
    ...(selector ? { 'match[]': selector } : {}),
  });
}

async function ask(path: string, parameters: Record<string, string | number>) {
  const form = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  // Values of a label can only be asked for with GET.
  const response = path.startsWith('label/')
    ? await fetch(`/prometheus/api/v1/${path}?${form}`)
    : await fetch(`/prometheus/api/v1/${path}`, { method: 'POST', body: form });
  const answer = await response.json();
  if (answer.status !== 'success') {
    throw new Error(`Prometheus says: ${answer.error}: ${parameters.query ?? path}`);
  }
  return answer.data;
}

function timeSeries(target: Target, expr: string, { metric, value, values }: Series, span: Span): DataFrame {
  const samples = values ?? [value!];
  const name = legend(target.legendFormat, metric, expr);
  return toDataFrame({
    refId: target.refId,
    name: name ?? metric.__name__,
    fields: [
      // With the interval known, a graph leaves a gap where points are missing.
      { ...time(samples), config: { interval: span.stepSeconds * 1000 } },
      { ...numbers('Value', samples), labels: metric, config: name === undefined ? {} : { displayNameFromDS: name } },
    ],
  });
}

/** What a series is called; nothing where its labels are to say it. */
function legend(format: string | undefined, metric: Labels, expr: string): string | undefined {
  if (format === '__auto' && Object.keys(metric).length > 0) {
    return undefined;
  }
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => metric[label] ?? '');
  }
  const { __name__: metricName = '', ...labels } = metric;
  const inner = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
  return inner.length > 0 ? `${metricName}{${inner.join(', ')}}` : metricName || expr;
}

/** A row for each sample, a column for each label. */
function table(target: Target, series: Series[], alone: boolean): DataFrame {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const rows = series.flatMap(({ metric, value, values }) => (values ?? [value!]).map((sample) => ({ metric, sample })));
  const samples = rows.map(({ sample }) => sample);
  return toDataFrame({
    refId: target.refId,
    fields: [
      time(samples),
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: {},
        values: rows.map(({ metric }) => metric[label] ?? ''),
      })),
      numbers(alone ? 'Value' : `Value #${target.refId}`, samples),
    ],
  });
}

function time(samples: Sample[]): Field {
  return { name: 'Time', type: FieldType.time, config: {}, values: samples.map(([seconds]) => seconds * 1000) };
}

function numbers(name: string, samples: Sample[]): Field {
  return { name, type: FieldType.number, config: {}, values: samples.map(([, value]) => number(value)) };
}

/** Infinity is the one number that Prometheus writes in its own way. */
function number(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000;
}
