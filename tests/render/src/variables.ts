// A dashboard's variables: what they can be, what was chosen, and how they are put into queries and titles.

import type { TimeRange } from '@grafana/data';
import type { Dashboard, Variable } from './model';
import { instant, labelValues, type Span } from './prometheus';

const ALL = '$__all';
/** `$name`, `${name}`, `${name:format}` and `[[name]]`. */
const REFERENCE = /\$(\w+)|\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)\]\]/g;
const LABEL_VALUES = /^label_values\((?:(.+),)?\s*(\w+)\s*\)$/s;
const QUERY_RESULT = /^query_result\((.+)\)$/s;

interface Option {
  text: string;
  value: string;
}

/** A variable with what was chosen for it. */
export interface Chosen {
  variable: Variable;
  all: boolean;
  options: Option[];
}

export class Variables {
  constructor(readonly chosen: Chosen[] = []) {}

  /** Asks for what each variable can be, in the dashboard's order: a query may use the variables before it. */
  static async load(dashboard: Dashboard, wishes: Record<string, string>, span: Span): Promise<Variables> {
    const variables = new Variables();
    const list = dashboard.templating?.list ?? [];
    const unknown = Object.keys(wishes).filter((name) => !list.some((variable) => variable.name === name));
    if (unknown.length > 0) {
      throw new Error(`the dashboard has no variable ${unknown.join(', ')}`);
    }
    for (const variable of list) {
      const options = await variables.optionsOf(variable, span);
      variables.chosen.push(choose(variable, options, wishes[variable.name]));
    }
    return variables;
  }

  private async optionsOf(variable: Variable, span: Span): Promise<Option[]> {
    const text = typeof variable.query === 'string' ? variable.query : (variable.query?.query ?? '');
    switch (variable.type) {
      case 'datasource':
        return [{ text: 'Prometheus', value: 'prometheus' }];
      case 'constant':
      case 'textbox':
        return [{ text, value: text }];
      case 'custom':
      case 'interval':
        return text.split(',').map(asOption);
      case 'query':
        return sorted(matching(variable.regex, await this.ask(this.inQuery(text, span), span.range)), variable.sort ?? 0);
      default:
        throw new Error(`variable ${variable.name}: its type ${variable.type} is not known here`);
    }
  }

  private async ask(query: string, range: TimeRange): Promise<string[]> {
    const [, selector, label] = query.trim().match(LABEL_VALUES) ?? [];
    if (label) {
      return labelValues(label, selector?.trim(), range);
    }
    const [, expr] = query.trim().match(QUERY_RESULT) ?? [];
    if (expr) {
      const series = await instant(expr, range);
      return series.map(({ metric: { __name__ = '', ...labels }, value }) => {
        const inner = Object.entries(labels).map(([name, text]) => `${name}="${text}"`);
        return `${__name__}{${inner.join(',')}} ${value![1]} ${value![0] * 1000}`;
      });
    }
    throw new Error(`the query of a variable is not known here: ${query}`);
  }

  /** Puts the variables into a query. What may be several values becomes a regular expression. */
  inQuery(text: string, span: Span): string {
    return text.replace(REFERENCE, (reference, plain, braced, format, bracketed) => {
      const name = plain ?? braced ?? bracketed;
      const chosen = this.chosen.find(({ variable }) => variable.name === name);
      if (!chosen) {
        return builtIn(name, span) ?? reference;
      }
      return asRegex(chosen, format ?? 'regex');
    });
  }

  /** Puts the variables into what people read. */
  inText(text: string): string {
    return text.replace(REFERENCE, (reference, plain, braced, _format, bracketed) => {
      const chosen = this.chosen.find(({ variable }) => variable.name === (plain ?? braced ?? bracketed));
      return chosen ? words(chosen) : reference;
    });
  }
}

/** What a variable shows as its choice. */
export function words({ all, options }: Chosen): string {
  return all ? 'All' : options.map(({ text }) => text).join(' + ');
}

/** The wish, else what was saved with the dashboard if there still is such a value, else all or the first. */
function choose(variable: Variable, options: Option[], wish: string | undefined): Chosen {
  if (wish !== undefined) {
    const found = options.find(({ value, text }) => value === wish || text === wish);
    return { variable, all: false, options: [found ?? { text: wish, value: wish }] };
  }
  const saved = [variable.current?.value ?? []].flat();
  const kept = options.filter(({ value }) => saved.includes(value));
  if (kept.length > 0 && !saved.includes(ALL)) {
    return { variable, all: false, options: kept };
  }
  if (variable.includeAll) {
    return { variable, all: true, options };
  }
  if (options.length === 0) {
    throw new Error(`variable ${variable.name} has no values`);
  }
  return { variable, all: false, options: options.slice(0, 1) };
}

function asRegex({ variable, all, options }: Chosen, format: string): string {
  if (all && variable.allValue) {
    return variable.allValue;
  }
  const values = options.map(({ value }) => value);
  switch (format) {
    case 'raw':
      return values.join(',');
    case 'pipe':
      return values.join('|');
    case 'regex': {
      if (!variable.multi && !variable.includeAll) {
        return values.join();
      }
      // A backslash is written twice, because it stands in a string of PromQL.
      const escaped = values.map((value) => value.replace(/[\\^$.*+?()[\]{}|]/g, '\\\\$&'));
      return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
    }
    default:
      throw new Error(`variable ${variable.name}: the format ${format} is not known here`);
  }
}

function builtIn(name: string, { range, stepSeconds, scrapeSeconds }: Span): string | undefined {
  const rangeSeconds = Math.round((range.to.valueOf() - range.from.valueOf()) / 1000);
  switch (name) {
    case '__interval':
      return `${stepSeconds}s`;
    case '__interval_ms':
      return `${stepSeconds * 1000}`;
    case '__rate_interval':
      return `${Math.max(stepSeconds + scrapeSeconds, 4 * scrapeSeconds)}s`;
    case '__range':
      return `${rangeSeconds}s`;
    case '__range_s':
      return `${rangeSeconds}`;
    case '__range_ms':
      return `${rangeSeconds * 1000}`;
    default:
      return undefined;
  }
}

/** `name : value`, or both in one. */
function asOption(text: string): Option {
  const [, name, value] = text.trim().match(/^(.+?) : (.+)$/s) ?? [, text.trim(), text.trim()];
  return { text: name!, value: value! };
}

/**
 * A regular expression picks those that match. Its groups `text` and `value` say what is taken, and with the flag `g` each
 * may come from a match of its own; without such groups it is the first group, or all that matched.
 */
function matching(regex: string | undefined, found: string[]): Option[] {
  const [, pattern, flags] = regex?.match(/^\/(.*)\/(\w*)$/s) ?? [, regex, ''];
  if (!pattern) {
    return found.map((text) => ({ text, value: text }));
  }
  const options = new Map<string, Option>();
  for (const one of found) {
    const matches = [...one.matchAll(new RegExp(pattern, flags!.replace('g', '') + 'g'))];
    const used = flags!.includes('g') ? matches : matches.slice(0, 1);
    if (used.length === 0) {
      continue;
    }
    const named = (group: string) => used.find(({ groups }) => groups?.[group])?.groups?.[group];
    const value = named('value') ?? named('text') ?? used[0][1] ?? used[0][0];
    if (!options.has(value)) {
      options.set(value, { value, text: named('text') ?? value });
    }
  }
  return [...options.values()];
}

/** Odd numbers rise and even ones fall; 3 and 4, 7 and 8 put 9 before 10; 0 leaves all as it is. */
function sorted(options: Option[], sort: number): Option[] {
  if (sort === 0) {
    return options;
  }
  const direction = sort % 2 === 1 ? 1 : -1;
  const numeric = [3, 4, 7, 8].includes(sort);
  const compare = (a: Option, b: Option) => direction * a.text.localeCompare(b.text, 'en', { numeric });
  return [...options].sort(compare);
}
