export { commitOf, VERSION } from '../version.ts';
