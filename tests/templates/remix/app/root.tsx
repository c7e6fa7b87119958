import * as Sentry from "@sentry/remix";

Sentry.init({ environment: import.meta.env.VITE_SENTRY_ENVIRONMENT });

export default function App() {
  return <html lang="en" />;
}
