import fc from 'fast-check';

/**
 * fast-check with one seed for all properties: what `make test` tries is the same on every machine and in every run. `make test-long` takes another
 * seed each time, PROPERTY_SEED any other; a failure prints it.
 */
fc.configureGlobal({ seed: Number(process.env['PROPERTY_SEED'] ?? 1) });

export default fc;
