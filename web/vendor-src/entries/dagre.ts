// The package's ES module is minified; its other build is the same code, readable, as a script that sets `dagre`.
import readable from 'dagre-readable';
import type dagre from '@dagrejs/dagre';

export type * from '@dagrejs/dagre';
export const Graph: typeof dagre.graphlib.Graph = readable.graphlib.Graph;
export const layout: typeof dagre.layout = readable.layout;
