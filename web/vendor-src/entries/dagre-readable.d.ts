declare module 'dagre-readable' {
  import dagre from '@dagrejs/dagre';
  export default dagre;
}
