import { bootstrapApplication } from '@angular/platform-browser';
import { provideApi } from './app/api';

bootstrapApplication(App, { providers: [provideApi(import.meta.env.NG_APP_API_URL)] });
