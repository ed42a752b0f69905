// What is read of a dashboard's JSON, and what the page is given besides.

import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface Input {
  dashboard: Dashboard;
  theme: 'light' | 'dark';
  /** In the place of the dashboard's own, such as `now-6h`. */
  from?: string;
  /** How far apart samples are: what Grafana's data source has as its scrape interval. */
  scrapeInterval: string;
  /** Chosen values of the dashboard's variables, by name. */
  variables: Record<string, string>;
}

export interface Dashboard {
  title: string;
  time?: { from: string; to: string };
  templating?: { list?: Variable[] };
  panels?: Panel[];
}

export interface Variable {
  name: string;
  label?: string | null;
  type: string;
  /** Hidden from the dashboard: 1 its label, 2 all of it. */
  hide?: number;
  query?: string | { query?: string };
  regex?: string;
  sort?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  current?: { value?: string | string[] } | null;
}

export interface Panel {
  type: string;
  title?: string;
  description?: string;
  transparent?: boolean;
  gridPos: { x: number; y: number; w: number; h: number };
  collapsed?: boolean;
  repeat?: string | null;
  targets?: Target[];
  transformations?: DataTransformerConfig[];
  fieldConfig?: Partial<FieldConfigSource>;
  /** Differs from type to type. */
  options?: Record<string, any>;
  interval?: string | null;
  maxDataPoints?: number | null;
}

export interface Target {
  refId: string;
  expr?: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: string;
  interval?: string;
  hide?: boolean;
}
