export default defineNuxtConfig({
  compatibilityDate: '2024-11-01',
  runtimeConfig: {
    public: { apiBase: process.env.NUXT_PUBLIC_API_BASE },
  },
})
